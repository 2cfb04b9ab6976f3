"""What was counted of each tier, and where the time of an image goes: two more tables."""

from __future__ import annotations

from perfsuite.report.numbers import ABSENT, format_bytes, format_seconds
from perfsuite.report.table import Column, Lines, Row, Table
from perfsuite.results.counters import TierCounters
from perfsuite.results.roofline import LimitShare, limit_share
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.stages import (
    DECODING,
    FIRST_STEP,
    REST,
    SCHEDULER,
    TEXT_ENCODERS,
    TierStages,
)

COUNTED = (
    Column("tier", is_text=True),
    Column("ops/step"),
    Column("SDPA"),
    Column("FLOPs/step", sheds=3),
    Column("kernels"),
    Column("syncs", sheds=2),
    Column("int8", sheds=1),
    Column("weights", sheds=4),
)
STAGES = (
    Column("tier", is_text=True),
    Column("text", sheds=3),
    Column("step 1"),
    Column("step"),
    Column("scheduler", sheds=2),
    Column("VAE"),
    Column("rest", sheds=1),
    Column("of limit"),
)
_LEGEND = (
    "ops/step: operators that a denoising step calls; SDPA: of them, attention as one; kernels: "
    "launches of a compiled step; syncs: reads by the host in a step; int8: quantised layers; "
    "step 1, step: the first denoising step and one of the others; of limit: share of what a large "
    "matrix product and a large copy reach here"
)


def structure_blocks(record: RunRecord) -> tuple[Table | Lines, ...]:
    """Tables of counts and of stages, as far as they were taken; nothing if neither was."""
    counted = [each for each in record.tiers if each.counters is not None]
    staged = [each for each in record.tiers if _stages(each) is not None]
    blocks: list[Table | Lines] = []
    if counted:
        blocks.append(Table(COUNTED, tuple(_counts(each) for each in counted)))
    if staged:
        blocks.append(Table(STAGES, tuple(_times(each) for each in staged)))
    return (*blocks, Lines((_LEGEND,), dim=True)) if blocks else ()


def profile_lines(result: TierResult) -> list[str]:
    """The heaviest operators of a tier's profile, and where its trace is."""
    if result.profile is None:
        return []
    worst = ", ".join(f"{each.name} {each.share:.0%}" for each in result.profile.heaviest[:3])
    return [f"heaviest operators: {worst}; trace: {result.profile.trace}"]


def _counts(result: TierResult) -> Row:
    counted = result.counters
    assert isinstance(counted, TierCounters)
    step, kernels = counted.step, counted.kernels_per_step
    size = sum(each.size_bytes for each in counted.weights)
    cells = (
        result.label,
        f"{step.operators:,}",
        f"{step.sdpa:,}",
        format_flops(step.total_flops),
        ABSENT if kernels is None else f"{kernels:,}",
        f"{step.host_syncs:,}",
        f"{len(counted.layers.quantised):,}" if counted.layers.quantised else ABSENT,
        format_bytes(size),
    )
    return Row(cells, None)


def _times(result: TierResult) -> Row:
    stages = _stages(result)
    assert isinstance(stages, TierStages)
    share = _share(result, stages)
    cells = (
        result.label,
        format_seconds(stages.typical_s(TEXT_ENCODERS)),
        format_seconds(stages.typical_s(FIRST_STEP)),
        format_seconds(stages.step_s),
        format_seconds(stages.typical_s(SCHEDULER)),
        format_seconds(stages.typical_s(DECODING)),
        format_seconds(stages.typical_s(REST)),
        ABSENT if share is None else f"{share.image:.0%}",
    )
    return Row(cells, None)


def format_flops(flops: float) -> str:
    """FLOPs with the prefix that suits: '1.09 G', '13.5 T'."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if flops >= size:
            return f"{flops / size:.3g} {prefix}"
    return f"{flops:.0f}"


def _stages(result: TierResult) -> TierStages | None:
    return result.measurement.stages if result.measurement else None


def _share(result: TierResult, stages: TierStages) -> LimitShare | None:
    limits = result.measurement.limits if result.measurement else None
    counted = result.counters
    if limits is None or counted is None:
        return None
    roots = list(dict.fromkeys(path.partition(".")[0] for path in counted.layers.layers))
    if len(roots) < 2:
        return None
    return limit_share(counted, stages, limits, roots[0], roots[1])
