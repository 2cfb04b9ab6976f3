"""From scores and thresholds to a verdict, and the message that a developer reads."""

from __future__ import annotations

import dataclasses
import math

import pytest

from perfsuite.judge.images import classify, judge_images
from perfsuite.report.messages import describe_quality
from perfsuite.results.images import Change, ImageScore, ThresholdCheck, Thresholds, findings
from perfsuite.results.verdict import Outcome

BARS = Thresholds(
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


def test_images_above_every_bar_pass() -> None:
    verdict = judge_images((score(), score(0.998)), BARS)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.change is None


def test_equal_images_pass_though_their_psnr_is_infinite() -> None:
    assert judge_images((score(1.0, None, 1.0),), BARS).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("scores", "metric"),
    [
        ((score(), score(0.9899, 46)), "worst SSIM"),
        ((score(0.994), score(0.994)), "mean SSIM"),
        ((score(), score(psnr_db=39.9)), "worst PSNR"),
        ((score(psnr_db=44), score(psnr_db=44)), "mean PSNR"),
        ((score(), score(cosine=0.9998)), "worst latent cosine"),
    ],
)
def test_each_bar_alone_can_fail_a_tier(scores: tuple[ImageScore, ...], metric: str) -> None:
    verdict = judge_images(scores, BARS)
    assert verdict.outcome is Outcome.REGRESSED
    assert metric in verdict.reason


def test_bars_that_are_not_set_are_not_asked_for() -> None:
    thresholds = Thresholds("the tier's row", worst_ssim=0.5)
    assert judge_images((score(0.6, 10, 0.1),), thresholds).outcome is Outcome.PASSED


def test_a_nan_never_passes() -> None:
    verdict = judge_images((score(), score(math.nan, math.nan, math.nan)), BARS)
    assert verdict.outcome is Outcome.REGRESSED


def test_a_visible_fault_fails_an_image_that_scores_well() -> None:
    verdict = judge_images((score(), score(1.0, None, 1.0, faults=("flat",))), BARS)
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.reason == "flat for 'a fox', seed 0"


def test_an_image_that_cannot_be_scored_fails_and_is_the_worst() -> None:
    unscored = score(None, None, None, seed=7, faults=("the image is NaN",))
    verdict = judge_images((score(), unscored), BARS)
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.worst is unscored


def test_the_worst_image_is_found_beside_a_nan() -> None:
    scores = (score(0.5), score(math.nan, seed=3), score(0.4))
    assert judge_images(scores, BARS).worst.seed == 3


def test_among_equal_ssim_the_lowest_psnr_is_the_worst() -> None:
    scores = (score(0.99991, 60), score(0.99992, 41, seed=4))
    assert judge_images(scores, BARS).worst.seed == 4


def test_pixels_that_moved_with_latents_that_agree_are_drift() -> None:
    assert classify((score(0.985),), BARS) is Change.DRIFT


def test_where_only_rounding_may_differ_drift_is_no_excuse() -> None:
    thresholds = Thresholds("exactness", worst_psnr_db=80, exact=True)
    assert classify((score(0.9999),), thresholds) is Change.NUMBERS
    assert classify((score(0.9999, cosine=0.9),), thresholds) is Change.DAMAGE


def test_another_picture_from_the_same_latents_is_damage_after_denoising() -> None:
    assert classify((score(0.6),), BARS) is Change.DECODER


@pytest.mark.parametrize("cosine", [0.99, None, math.nan])
def test_latents_that_disagree_are_damage(cosine: float | None) -> None:
    assert classify((score(), score(cosine=cosine)), BARS) is Change.DAMAGE


def test_without_a_calibrated_bar_latents_agree_from_999_thousandths() -> None:
    thresholds = Thresholds("the tier's row", worst_ssim=0.99)
    assert classify((score(0.985, cosine=0.9995),), thresholds) is Change.DRIFT
    assert classify((score(0.985, cosine=0.9985),), thresholds) is Change.DAMAGE


def test_a_wide_bar_does_not_make_latents_agree() -> None:
    thresholds = Thresholds("calibrated", worst_ssim=0.99, worst_latent_cosine=0.9)
    assert classify((score(0.985, cosine=0.95),), thresholds) is Change.DAMAGE


def test_nothing_is_found_where_no_image_could_be_scored() -> None:
    assert findings((score(None, None, None),), BARS) == ()


def test_a_margin_is_in_powers_of_ten_of_the_error() -> None:
    assert ThresholdCheck("worst_ssim", 0.9, 0.99).margin == pytest.approx(1)
    assert ThresholdCheck("worst_psnr_db", 50, 40).margin == pytest.approx(-1)


def test_the_message_shows_scores_bars_change_and_picture() -> None:
    verdict = judge_images((score(0.985, 39),), BARS)
    verdict = dataclasses.replace(verdict, pictures=("out/x.png",), notes=("no fp32",))
    message = describe_quality(verdict)
    for part in ("drift", "0.98500 below 0.99000", "39.0 below 40.0", "out/x.png", "no fp32"):
        assert part in message


def test_the_message_of_a_pass_says_where_the_bars_are_from() -> None:
    assert "calibrated on 48 images" in describe_quality(judge_images((score(),), BARS))
