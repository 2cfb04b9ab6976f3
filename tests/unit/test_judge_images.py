"""From scores and thresholds to a verdict, and the message that a developer reads."""

from __future__ import annotations

import dataclasses
import math

import pytest

from perfsuite.judge.images import (
    EXACT_THRESHOLDS,
    REFERENCE_THRESHOLDS,
    classify,
    judge_images,
    judge_reference_tier,
)
from perfsuite.report.messages import describe, say_all
from perfsuite.results.images import (
    Change,
    ImageEvidence,
    ImageScore,
    ThresholdCheck,
    Thresholds,
)
from perfsuite.results.picture_reasons import (
    ImageFaults,
    NothingChecked,
    ReferencesUnchecked,
    ReferenceTierChanged,
    RoundingDiffers,
    ThresholdsMissed,
)
from perfsuite.results.verdict import Metric, Outcome, Verdict

THRESHOLDS = Thresholds(
    "calibrated on 48 images",
    worst_ssim=0.99,
    mean_ssim=0.995,
    worst_psnr_db=40,
    mean_psnr_db=45,
    worst_latent_cosine=0.9999,
)


def score(
    ssim: float | None = 0.999,
    psnr_db: float | None = 50.0,
    cosine: float | None = 0.99999,
    *,
    seed: int = 0,
    faults: tuple[str, ...] = (),
) -> ImageScore:
    return ImageScore("a fox", seed, ssim, psnr_db, 0.001, cosine, faults)


def evidence(verdict: Verdict) -> ImageEvidence:
    assert verdict.images is not None
    return verdict.images


def missed(verdict: Verdict) -> ThresholdsMissed:
    (reason,) = verdict.reasons
    assert isinstance(reason, ThresholdsMissed)
    return reason


def test_images_above_every_threshold_pass() -> None:
    verdict = judge_images((score(), score(0.998)), THRESHOLDS)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.reasons == ()
    assert evidence(verdict).change is None
    assert evidence(verdict).scores == (score(), score(0.998))
    assert evidence(verdict).thresholds == THRESHOLDS


def test_equal_images_pass_though_their_psnr_is_infinite() -> None:
    assert judge_images((score(1.0, None, 1.0),), THRESHOLDS).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("scores", "metric"),
    [
        ((score(), score(), score(0.9899, 46)), "worst_ssim"),
        ((score(0.994), score(0.994)), "mean_ssim"),
        ((score(), score(), score(psnr_db=39.9)), "worst_psnr_db"),
        ((score(psnr_db=44), score(psnr_db=44)), "mean_psnr_db"),
        ((score(), score(cosine=0.9998)), "worst_latent_cosine"),
    ],
)
def test_each_threshold_alone_can_fail_a_tier(scores: tuple[ImageScore, ...], metric: str) -> None:
    verdict = judge_images(scores, THRESHOLDS)
    assert verdict.outcome is Outcome.REGRESSED
    assert [each.metric for each in missed(verdict).missed] == [metric]
    assert [each.metric for each in evidence(verdict).checks if not each.holds] == [metric]


def test_thresholds_that_are_not_set_are_not_asked_for() -> None:
    thresholds = Thresholds("the tier's row", worst_ssim=0.5)
    assert judge_images((score(0.6, 10, 0.1),), thresholds).outcome is Outcome.PASSED


def test_a_nan_never_passes() -> None:
    verdict = judge_images((score(), score(math.nan, math.nan, math.nan)), THRESHOLDS)
    assert verdict.outcome is Outcome.REGRESSED


def test_a_visible_fault_fails_an_image_that_scores_well() -> None:
    verdict = judge_images((score(), score(1.0, None, 1.0, faults=("flat",))), THRESHOLDS)
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.reasons == (ImageFaults(("flat",), "a fox", 0),)
    assert say_all(verdict.reasons) == "flat for 'a fox', seed 0"


def test_an_image_that_cannot_be_scored_fails_and_is_the_worst() -> None:
    unscored = score(None, None, None, seed=7, faults=("the image is NaN",))
    verdict = judge_images((score(), unscored), THRESHOLDS)
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.reasons == (ImageFaults(("the image is NaN",), "a fox", 7),)
    assert evidence(verdict).worst is unscored


def test_the_worst_image_is_found_beside_a_nan() -> None:
    scores = (score(0.5), score(math.nan, seed=3), score(0.4))
    assert evidence(judge_images(scores, THRESHOLDS)).worst.seed == 3


def test_among_equal_ssim_the_lowest_psnr_is_the_worst() -> None:
    scores = (score(0.99991, 60), score(0.99992, 41, seed=4))
    assert evidence(judge_images(scores, THRESHOLDS)).worst.seed == 4


def test_pixels_that_moved_with_latents_that_agree_are_drift() -> None:
    assert classify((score(0.985),), THRESHOLDS) is Change.DRIFT


def test_where_only_rounding_may_differ_drift_is_no_excuse() -> None:
    thresholds = Thresholds("exactness", worst_psnr_db=80, exact=True)
    assert classify((score(0.9999),), thresholds) is Change.NUMBERS
    assert classify((score(0.9999, cosine=0.9),), thresholds) is Change.DAMAGE


def test_another_picture_from_the_same_latents_is_damage_after_denoising() -> None:
    assert classify((score(0.6),), THRESHOLDS) is Change.DECODER


@pytest.mark.parametrize("cosine", [0.99, None, math.nan])
def test_latents_that_disagree_are_damage(cosine: float | None) -> None:
    assert classify((score(), score(cosine=cosine)), THRESHOLDS) is Change.DAMAGE


def test_without_a_calibrated_threshold_latents_agree_from_999_thousandths() -> None:
    thresholds = Thresholds("the tier's row", worst_ssim=0.99)
    assert classify((score(0.985, cosine=0.9995),), thresholds) is Change.DRIFT
    assert classify((score(0.985, cosine=0.9985),), thresholds) is Change.DAMAGE


def test_a_wide_threshold_does_not_make_latents_agree() -> None:
    thresholds = Thresholds("calibrated", worst_ssim=0.99, worst_latent_cosine=0.9)
    assert classify((score(0.985, cosine=0.95),), thresholds) is Change.DAMAGE


def test_nothing_is_found_where_no_image_could_be_scored() -> None:
    assert ImageEvidence(THRESHOLDS, (score(None, None, None),)).checks == ()


def test_a_margin_is_in_powers_of_ten_of_the_error() -> None:
    assert ThresholdCheck("worst_ssim", 0.9, 0.99).margin == pytest.approx(1)
    assert ThresholdCheck("worst_psnr_db", 50, 40).margin == pytest.approx(-1)


def test_the_message_shows_scores_thresholds_change_and_picture() -> None:
    verdict = judge_images((score(0.985, 39),), THRESHOLDS)
    assert missed(verdict).change == Change.DRIFT.value
    assert evidence(verdict).change is Change.DRIFT
    shown = dataclasses.replace(evidence(verdict), pictures=("out/x.png",))
    verdict = dataclasses.replace(verdict, images=shown, notes=(ReferencesUnchecked(),))
    message = describe(verdict)
    unchecked = "fp32 was not held against its own references"
    for part in ("drift", "0.98500 below 0.99000", "39.0 below 40.0", "out/x.png", unchecked):
        assert part in message


def test_the_message_of_a_pass_says_where_the_thresholds_are_from() -> None:
    assert "calibrated on 48 images" in describe(judge_images((score(),), THRESHOLDS))


def test_a_set_without_an_image_is_a_check_that_checks_nothing() -> None:
    verdict = judge_images((), THRESHOLDS)
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.reasons == (NothingChecked("images"),)
    assert "no images to check" in describe(verdict)


def test_a_verdict_reports_the_worst_images_number_in_the_metrics_unit() -> None:
    scores = (score(0.9995, 90), score(0.999, 85))
    assert judge_images(scores, THRESHOLDS).measured == 0.999
    same = judge_images(scores, THRESHOLDS, Metric.SAME_IMAGES)
    assert (same.metric, same.measured) == (Metric.SAME_IMAGES, 0.999)
    exact = judge_images(scores, EXACT_THRESHOLDS, Metric.EXACTNESS)
    assert (exact.metric, exact.measured, exact.outcome) == (Metric.EXACTNESS, 85, Outcome.PASSED)


# --- the reference tier


def test_a_reference_tier_that_makes_its_references_passes_without_a_note() -> None:
    verdict = judge_reference_tier((score(1.0, None, 1.0),), ("torch 2.13.0 (now 2.14.1)",))
    assert (verdict.outcome, verdict.reasons, verdict.notes) == (Outcome.PASSED, (), ())


@pytest.mark.parametrize("noises_db", [(55.0, 50.0), (60.0, 50.0)])
def test_rounding_passes_the_reference_tier_and_is_a_note(noises_db: tuple[float, ...]) -> None:
    scores = tuple(score(0.9999, noise_db) for noise_db in noises_db)
    verdict = judge_reference_tier(scores, ())
    assert verdict.outcome is Outcome.PASSED
    assert verdict.notes == (RoundingDiffers(50.0),)
    assert evidence(verdict).thresholds == REFERENCE_THRESHOLDS


def test_a_reference_tier_that_makes_other_images_regresses_and_names_the_versions() -> None:
    versions = ("torch 2.13.0 (now 2.14.1)",)
    verdict = judge_reference_tier((score(1.0, None, 1.0), score(0.9999, 49.9)), versions)
    assert verdict.outcome is Outcome.REGRESSED
    (reason,) = verdict.reasons
    assert isinstance(reason, ReferenceTierChanged)
    assert isinstance(reason.found, ThresholdsMissed)
    assert [(each.metric, each.value) for each in reason.found.missed] == [("worst_psnr_db", 49.9)]
    assert reason.versions == versions
    said = say_all(verdict.reasons)
    assert "all tiers share it" in said
    assert "torch 2.13.0 (now 2.14.1)" in said
    assert "perfsuite record-references" in said


def test_a_reference_tier_with_a_visible_fault_regresses() -> None:
    verdict = judge_reference_tier((score(None, None, None, faults=("black",)),), ())
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.reasons == (ReferenceTierChanged(ImageFaults(("black",), "a fox", 0)),)


def test_a_reference_tier_without_an_image_regresses() -> None:
    verdict = judge_reference_tier((), ())
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.reasons == (NothingChecked("images"),)
