"""From a tier's blocks to its verdicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfsuite.judge.ab import compile_seconds, judge_tier, paired_blocks
from perfsuite.judge.paired import judge_paired
from perfsuite.results.ab import Arm, BlockRecord, TierGate
from perfsuite.results.condition_reasons import Swapping
from perfsuite.results.picture_reasons import AgainstControl, ControlAtFault
from perfsuite.results.policy import PairedPolicy
from perfsuite.results.reasons import (
    BlockUnfinished,
    CountChanged,
    MemoryUnknown,
    NoStartMeasured,
    Reason,
    TooFewStarts,
)
from perfsuite.results.samples import PeakMemory
from perfsuite.results.verdict import Metric, Outcome, Verdict
from tests.unit.ab_samples import block, damage, facts, images_verdict, tier

POLICY = PairedPolicy()


def judged(gate: TierGate) -> dict[Metric, Verdict]:
    verdicts = judge_tier(gate, POLICY)
    known = {each.metric: each for each in verdicts}
    assert len(known) == len(verdicts), "two verdicts on one metric"
    return known


def with_treatment(known: BlockRecord, **changes: object) -> BlockRecord:
    """A block in whose start the treatment measured something else."""
    starts = dict(known.starts)
    starts[Arm.TREATMENT] = replace(starts[Arm.TREATMENT], **changes)  # type: ignore[arg-type]
    return replace(known, starts=starts)


def gate_of(*blocks: BlockRecord, compiles: bool = False) -> TierGate:
    return TierGate("bf16", compiles, blocks)


def test_a_tier_that_has_nothing_to_compile_is_judged_on_what_it_has() -> None:
    assert set(judged(tier())) == {
        Metric.LATENCY,
        Metric.MEMORY,
        Metric.GRAPH_BREAKS,
        Metric.RECOMPILES,
    }
    assert {each.outcome for each in judged(tier()).values()} == {Outcome.PASSED}


def test_a_compiled_tier_is_judged_on_both_compile_times() -> None:
    compiled = judged(tier(compiles=True))
    assert {Metric.COLD_COMPILE, Metric.WARM_COMPILE} <= set(compiled)
    assert compiled[Metric.COLD_COMPILE].outcome is Outcome.PASSED


def test_latency_is_that_of_the_blocks_that_may_be_judged() -> None:
    spoilt = block(3.0, spoilt=Swapping())
    gate = gate_of(block(1.3, cold=True), spoilt, block(1.3))
    assert len(paired_blocks(gate)) == 2
    verdict = judged(gate)[Metric.LATENCY]
    assert verdict == judge_paired(paired_blocks(gate), POLICY, gate.spent_s)
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.change == pytest.approx(0.3)
    assert gate.spent_s == 8.0


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ((), TooFewStarts()),
        ((block(),), TooFewStarts()),
        ((block(), block(spoilt=Swapping())), Swapping()),
        ((block(spoilt=Swapping()), block(spoilt=BlockUnfinished())), BlockUnfinished()),
    ],
)
def test_fewer_than_two_starts_say_nothing_of_latency_and_why(
    blocks: tuple[BlockRecord, ...], reason: Reason
) -> None:
    verdict = judged(gate_of(*blocks))[Metric.LATENCY]
    assert (verdict.outcome, verdict.reasons) == (Outcome.INVALID, (reason,))


def test_without_a_usable_start_nothing_else_is_judged() -> None:
    assert set(judged(gate_of(block(spoilt=Swapping()), compiles=True))) == {Metric.LATENCY}


def test_memory_that_grew_in_every_start_is_a_regression() -> None:
    heavy = PeakMemory(2 << 30, "fake")
    verdict = judged(gate_of(*(with_treatment(block(), memory=heavy) for _ in range(2))))[
        Metric.MEMORY
    ]
    assert verdict.outcome is Outcome.REGRESSED
    assert (verdict.expected, verdict.measured) == (1 << 30, 2 << 30)
    assert verdict.change == pytest.approx(1.0)


def test_memory_that_is_unknown_does_not_pass() -> None:
    unknown = PeakMemory(None, "fake", "not known")
    verdict = judged(gate_of(*(with_treatment(block(), memory=unknown) for _ in range(2))))[
        Metric.MEMORY
    ]
    assert (verdict.outcome, verdict.reasons) == (Outcome.INCONCLUSIVE, (MemoryUnknown(),))


def test_a_first_image_is_compared_with_those_of_its_own_kind() -> None:
    """A slow cold start is no slow warm one."""
    slow = with_treatment(block(cold=True), first_image_s=20.0)
    compiled = judged(gate_of(slow, block(), block(), compiles=True))
    assert compiled[Metric.COLD_COMPILE].outcome is Outcome.REGRESSED
    assert compiled[Metric.COLD_COMPILE].expected == pytest.approx(4.8)
    assert compiled[Metric.COLD_COMPILE].measured == pytest.approx(19.8)
    assert compiled[Metric.WARM_COMPILE].outcome is Outcome.PASSED


def test_a_kind_of_start_that_was_not_measured_is_said_so() -> None:
    verdict = judged(gate_of(block(), block(), compiles=True))[Metric.COLD_COMPILE]
    assert verdict.outcome is Outcome.INVALID
    assert verdict.reasons == (NoStartMeasured(Metric.COLD_COMPILE.value),)


def test_compiling_is_what_the_first_image_takes_longer_and_never_nothing() -> None:
    assert compile_seconds(block(), Arm.CONTROL) == pytest.approx(5.0 - 0.2)
    fast = replace(block(), starts={name: facts(first_image_s=0.1) for name in Arm})
    assert compile_seconds(fast, Arm.CONTROL) > 0


@pytest.mark.parametrize(
    ("field", "metric"),
    [("graph_breaks", Metric.GRAPH_BREAKS), ("recompiles", Metric.RECOMPILES)],
)
def test_a_count_that_grew_in_one_start_is_a_regression(field: str, metric: Metric) -> None:
    verdict = judged(gate_of(block(), with_treatment(block(), **{field: 2})))[metric]
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.reasons == (CountChanged(metric.value, 0, 2),)
    assert (verdict.expected, verdict.measured) == (0, 2)


def test_images_are_judged_where_there_are_any() -> None:
    worse = images_verdict(Outcome.REGRESSED, damage(0.4), worst_ssim=0.4)
    gate = replace(
        tier(), control_images=images_verdict(), treatment_images=worse, same_images=worse
    )
    known = judged(gate)
    assert known[Metric.IMAGES].outcome is Outcome.REGRESSED
    assert (known[Metric.IMAGES].expected, known[Metric.IMAGES].measured) == (0.97, 0.4)
    assert known[Metric.IMAGES].reasons == (damage(0.4),)
    assert known[Metric.SAME_IMAGES].outcome is Outcome.REGRESSED
    assert known[Metric.SAME_IMAGES].reasons == (AgainstControl(damage(0.4)),)


def test_what_the_control_gets_wrong_is_not_the_treatments_fault() -> None:
    worse = images_verdict(Outcome.REGRESSED, damage(0.4), worst_ssim=0.4)
    gate = replace(tier(), control_images=worse, treatment_images=worse)
    verdict = judged(gate)[Metric.IMAGES]
    assert verdict.outcome is Outcome.INVALID
    assert verdict.reasons == (ControlAtFault(damage(0.4)),)
