from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from perfsuite.errors import OutputError
from perfsuite.results.images import Thresholds
from perfsuite.results.method import Finding
from perfsuite.results.session import TierResult, load_record, save_record
from perfsuite.results.verdict import Outcome, Verdict
from tests.unit.samples import latency_verdict, measurement, quality_verdict, record, score


def full_result(tier: str) -> TierResult:
    return TierResult(
        tier,
        published_s=7.36,
        measurement=measurement(tier),
        latency=latency_verdict(),
        quality=quality_verdict(),
        findings=(Finding("qkv", "projections were fused already"),),
    )


def latency(outcome: Outcome) -> Verdict:
    return latency_verdict(outcome)


def quality(outcome: Outcome) -> Verdict:
    return quality_verdict(outcome)


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
    assert TierResult("a", latency=latency(Outcome.INCONCLUSIVE)).overall is Outcome.INCONCLUSIVE
    assert TierResult("a", quality=quality(Outcome.REGRESSED)).overall is Outcome.REGRESSED


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
    one = TierResult("a", latency=latency(lighter), quality=quality(graver))
    other = TierResult("a", latency=latency(graver), quality=quality(lighter))
    assert one.overall is other.overall is graver


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_gravity(outcome: Outcome) -> None:
    both = TierResult("a", latency=latency(outcome), quality=quality(Outcome.REGRESSED))
    assert both.overall is Outcome.REGRESSED


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = save_record(record(full_result("fp32")), tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(OutputError, match="truncated") as caught:
        load_record(path)
    assert str(path) in str(caught.value)


def test_a_record_with_a_score_that_is_no_number_can_be_read_again(tmp_path: Path) -> None:
    scores = (score(math.nan),)
    judged = Verdict(Outcome.REGRESSED, "no number", Thresholds("row", worst_ssim=0.95), scores)
    path = save_record(record(TierResult("fp32", quality=judged)), tmp_path)
    assert load_record(path).result("fp32").quality is not None
