"""From what a tier's blocks have measured to its verdicts."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import TypeVar

from perfsuite.judge.counters import (
    judge_compile,
    judge_count,
    judge_memory,
    judge_references,
    judge_same_images,
)
from perfsuite.judge.paired import Block, judge_paired
from perfsuite.results.ab import Arm, BlockRecord, StartFacts, TierGate
from perfsuite.results.policy import PairedPolicy
from perfsuite.results.reasons import NoStartMeasured, TooFewStarts
from perfsuite.results.verdict import Metric, Outcome, Verdict

FEWEST_BLOCKS = 2
"""One start of each arm cannot show how much starts differ."""
_SHORTEST_COMPILE_S = 1e-3
Value = TypeVar("Value")


def paired_blocks(tier: TierGate) -> tuple[Block, ...]:
    """Samples that may be judged."""
    return tuple(
        Block(block.unspoilt(Arm.CONTROL), block.unspoilt(Arm.TREATMENT), block.interleaved)
        for block in tier.usable
    )


def judge_tier(tier: TierGate, policy: PairedPolicy) -> tuple[Verdict, ...]:
    """Every verdict that the blocks so far allow."""
    verdicts = [_judge_latency(tier, policy)]
    if tier.structure is not None:
        verdicts.append(tier.structure)
    if tier.usable:
        verdicts.append(_judge_memory(tier, policy))
        verdicts += _judge_compilation(tier, policy)
        verdicts += _judge_counts(tier)
    if tier.control_images is not None and tier.treatment_images is not None:
        verdicts.append(judge_references(tier.control_images, tier.treatment_images))
    if tier.same_images is not None:
        verdicts.append(judge_same_images(tier.same_images))
    return tuple(verdicts)


def compile_seconds(block: BlockRecord, arm: Arm) -> float:
    """Seconds by which an arm's first image was longer than its others."""
    usual_s = statistics.median(block.seconds(arm))
    return max(block.starts[arm].first_image_s - usual_s, _SHORTEST_COMPILE_S)


def _judge_latency(tier: TierGate, policy: PairedPolicy) -> Verdict:
    if len(tier.usable) >= FEWEST_BLOCKS:
        return judge_paired(paired_blocks(tier), policy, tier.spent_s)
    spoilt = [block.spoilt for block in tier.blocks if block.spoilt is not None]
    return Verdict(Metric.LATENCY, Outcome.INVALID, (spoilt[-1] if spoilt else TooFewStarts(),))


def _judge_memory(tier: TierGate, policy: PairedPolicy) -> Verdict:
    control, treatment = _of_both(tier, lambda facts: facts.memory.peak_bytes)
    return judge_memory(control, treatment, policy.tolerance)


def _judge_compilation(tier: TierGate, policy: PairedPolicy) -> list[Verdict]:
    if not tier.compiles:
        return []
    return [
        _judge_compile(tier, Metric.COLD_COMPILE, policy, cold=True),
        _judge_compile(tier, Metric.WARM_COMPILE, policy, cold=False),
    ]


def _judge_compile(tier: TierGate, metric: Metric, policy: PairedPolicy, *, cold: bool) -> Verdict:
    blocks = [block for block in tier.usable if block.cold is cold]
    if not blocks:
        return Verdict(metric, Outcome.INVALID, (NoStartMeasured(metric.value),))
    control = [compile_seconds(block, Arm.CONTROL) for block in blocks]
    treatment = [compile_seconds(block, Arm.TREATMENT) for block in blocks]
    return judge_compile(metric, control, treatment, policy.alpha)


def _judge_counts(tier: TierGate) -> list[Verdict]:
    breaks = _of_both(tier, lambda facts: facts.graph_breaks)
    recompiles = _of_both(tier, lambda facts: facts.recompiles)
    return [
        judge_count(Metric.GRAPH_BREAKS, *breaks),
        judge_count(Metric.RECOMPILES, *recompiles),
    ]


def _of_both(
    tier: TierGate, read: Callable[[StartFacts], Value]
) -> tuple[list[Value], list[Value]]:
    """One number of every start: the control's, and the treatment's."""
    control = [read(block.starts[Arm.CONTROL]) for block in tier.usable]
    treatment = [read(block.starts[Arm.TREATMENT]) for block in tier.usable]
    return control, treatment
