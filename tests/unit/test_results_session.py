from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from perfsuite.errors import OutputError
from perfsuite.results.images import ImageEvidence, Thresholds
from perfsuite.results.method import Finding
from perfsuite.results.picture_reasons import ImageFaults, RoundingDiffers
from perfsuite.results.reasons import NoBaseline
from perfsuite.results.session import TierResult, load_record, save_record
from perfsuite.results.verdict import Metric, Outcome, Verdict, gravest
from tests.unit.samples import latency_verdict, measurement, quality_verdict, record, score


def full_result(tier: str) -> TierResult:
    return TierResult(
        tier,
        published_s=7.36,
        measurement=measurement(tier),
        verdicts=(
            latency_verdict(Outcome.NO_BASELINE, NoBaseline("cpu-x"), change=None),
            replace(quality_verdict(), notes=(RoundingDiffers(57.0),)),
        ),
        findings=(Finding("qkv", "projections were fused already"),),
    )


def latency(outcome: Outcome) -> Verdict:
    return latency_verdict(outcome)


def quality(outcome: Outcome) -> Verdict:
    return quality_verdict(outcome)


def one(*verdicts: Verdict) -> TierResult:
    return TierResult("a", verdicts=verdicts)


def test_a_record_survives_being_stored(tmp_path: Path) -> None:
    written = record(
        full_result("fp32"),
        TierResult("bf16", measurement=measurement("bf16", peak_bytes=None)),
        TierResult("sdpa", error="OutOfMemoryError: no memory left"),
    )
    path = save_record(written, tmp_path)
    assert path == tmp_path / "runs" / "20261124T030000Z-0000.json"
    assert load_record(path) == written
    assert load_record(path.with_name("latest.json")) == written


def test_the_latest_record_is_that_of_the_latest_save(tmp_path: Path) -> None:
    first = record(full_result("fp32"))
    second = replace(first, run_id="20261124T040000Z-0000")
    paths = [save_record(each, tmp_path) for each in (first, second)]
    assert [load_record(path) for path in paths] == [first, second]
    assert load_record(tmp_path / "runs" / "latest.json") == second


def test_results_stay_in_the_order_in_which_tiers_were_measured() -> None:
    grown = record()
    for tier in ("fp32", "bf16", "sdpa"):
        grown = grown.with_result(TierResult(tier))
    later = grown.with_result(full_result("bf16"))
    assert [each.tier for each in later.tiers] == ["fp32", "bf16", "sdpa"]
    assert later.result("bf16") == full_result("bf16")
    assert grown.result("bf16") == TierResult("bf16")


def test_a_tier_that_nothing_is_known_of_has_an_empty_result() -> None:
    assert record().result("fp32") == TierResult("fp32")
    assert TierResult("fp32").overall is None


def test_one_verdict_alone_is_the_overall_verdict() -> None:
    assert one(latency(Outcome.INCONCLUSIVE)).overall is Outcome.INCONCLUSIVE
    assert one(quality(Outcome.REGRESSED)).overall is Outcome.REGRESSED


@pytest.mark.parametrize(
    ("lighter", "graver"),
    list(
        pairwise(
            (
                Outcome.PASSED,
                Outcome.RECORDED,
                Outcome.IMPROVED,
                Outcome.NO_BASELINE,
                Outcome.INCONCLUSIVE,
                Outcome.INVALID,
                Outcome.REGRESSED,
            )
        )
    ),
)
def test_the_graver_of_two_verdicts_counts(lighter: Outcome, graver: Outcome) -> None:
    assert one(latency(lighter), quality(graver)).overall is graver
    assert one(latency(graver), quality(lighter)).overall is graver


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_gravity(outcome: Outcome) -> None:
    assert one(latency(outcome), quality(Outcome.REGRESSED)).overall is Outcome.REGRESSED
    least = Outcome.PASSED if outcome is Outcome.NOT_SUPPORTED else outcome
    assert gravest([outcome, Outcome.PASSED]) is least
    assert gravest([]) is None


def test_there_is_one_verdict_for_each_metric_and_the_latest_counts() -> None:
    judged = one(latency(Outcome.INCONCLUSIVE), quality(Outcome.PASSED))
    later = judged.with_verdict(latency(Outcome.REGRESSED))
    assert later.verdict(Metric.LATENCY) == latency(Outcome.REGRESSED)
    assert later.verdict(Metric.IMAGES) == quality(Outcome.PASSED)
    assert later.verdict(Metric.LAYERS) is None
    assert len(later.verdicts) == 2
    assert judged.verdict(Metric.LATENCY) == latency(Outcome.INCONCLUSIVE)


def test_the_outcome_of_images_leaves_the_latency_out() -> None:
    judged = one(latency(Outcome.REGRESSED), quality(Outcome.PASSED))
    assert judged.image_outcome is Outcome.PASSED
    for metric in (Metric.EXACTNESS, Metric.LAYERS):
        worse = judged.with_verdict(Verdict(metric, Outcome.REGRESSED))
        assert worse.image_outcome is Outcome.REGRESSED
    assert one(latency(Outcome.REGRESSED)).image_outcome is None


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = save_record(record(full_result("fp32")), tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(OutputError, match="truncated") as caught:
        load_record(path)
    assert str(path) in str(caught.value)


def test_a_record_with_a_score_that_is_no_number_can_be_read_again(tmp_path: Path) -> None:
    evidence = ImageEvidence(Thresholds("row", worst_ssim=0.95), (score(math.nan),))
    reasons = (ImageFaults(("no number",), "A fox", 0),)
    judged = Verdict(Metric.IMAGES, Outcome.REGRESSED, reasons, measured=math.nan, images=evidence)
    path = save_record(record(one(judged)), tmp_path)
    verdict = load_record(path).result("a").verdict(Metric.IMAGES)
    assert verdict is not None
    assert verdict.reasons == reasons
    assert verdict.images is not None
    (read,) = verdict.images.scores
    assert read.ssim is None or math.isnan(read.ssim)
