"""Holding a structure against an expectation. Pure.

Counts have no noise: with the same versions any difference is a change. Between versions it is for
somebody to review, since libraries may compute the same in another way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from perfsuite.results.deviceless import (
    ArchKernels,
    CompiledPart,
    MemoryPlan,
    StructureRecord,
    TierStructure,
    releases,
)
from perfsuite.results.deviceless_comparison import (
    ArchComparison,
    StructureComparison,
    StructureOutcome,
    TierComparison,
    VersionChange,
    gravest,
)
from perfsuite.results.structure import CountDifference, OperatorCounts, differences


def compare_structures(
    now: StructureRecord, before: StructureRecord | None, against: str | None
) -> StructureComparison:
    """Every tier of a record against the same tier of an expectation.

    Args:
        now: what was counted.
        before: the expectation; None if there is none.
        against: names the expectation for people.
    """
    versions = version_changes(before.packages, now.packages) if before else ()
    tiers = tuple(
        _compare_tier(tier, before.tier(tier.tier) if before else None, bool(versions))
        for tier in now.tiers
    )
    return StructureComparison(against, versions, tiers)


def version_changes(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[VersionChange, ...]:
    """Packages that differ; builds of one release (`2.13.0`, `2.13.0+cpu`) do not."""
    old, new = releases(before), releases(now)
    return tuple(
        VersionChange(name, before.get(name), now.get(name))
        for name in sorted({*before, *now})
        if old.get(name) != new.get(name)
    )


def _compare_tier(
    now: TierStructure, before: TierStructure | None, other_versions: bool
) -> TierComparison:
    archs = tuple(
        _compare_arch(each, before.arch(each.arch) if before else None, other_versions)
        for each in now.kernels
    )
    if now.unsupported is not None:
        outcome = StructureOutcome.UNSUPPORTED
        return TierComparison(now.tier, outcome, archs=archs, unsupported=now.unsupported)
    if before is None or before.unsupported is not None:
        outcome = gravest((StructureOutcome.NO_EXPECTATION, *(each.outcome for each in archs)))
        return TierComparison(now.tier, outcome, archs=archs)
    totals = (*_flops(now.operators, before.operators), *_memory(now.memory, before.memory))
    operators = now.operators.differences(before.operators)
    own = _outcome(bool(totals or operators), other_versions)
    outcome = gravest((own, *(each.outcome for each in archs)))
    return TierComparison(now.tier, outcome, totals, operators, archs)


def _outcome(differs: bool, other_versions: bool) -> StructureOutcome:
    if not differs:
        return StructureOutcome.SAME
    return StructureOutcome.REVIEW if other_versions else StructureOutcome.CHANGED


def _flops(now: OperatorCounts, before: OperatorCounts) -> tuple[CountDifference, ...]:
    return _named("FLOPs", now.up_to(1).flops, before.up_to(1).flops)


def _memory(now: MemoryPlan, before: MemoryPlan) -> tuple[CountDifference, ...]:
    weights, activations = [
        [{each.part: getattr(each, name) for each in plan.parts} for plan in (now, before)]
        for name in ("weight_bytes", "peak_activation_bytes")
    ]
    return (*_named("bytes of weights", *weights), *_named("peak bytes of results", *activations))


def _named(
    name: str, now: Mapping[str, int], before: Mapping[str, int]
) -> tuple[CountDifference, ...]:
    """Numbers by part that differ."""
    return differences(
        {part: {name: value} for part, value in before.items()},
        {part: {name: value} for part, value in now.items()},
    )


def _compare_arch(
    now: ArchKernels, before: ArchKernels | None, other_versions: bool
) -> ArchComparison:
    if now.unsupported is not None:
        return ArchComparison(now.arch, StructureOutcome.UNSUPPORTED, unsupported=now.unsupported)
    if before is None or before.unsupported is not None:
        return ArchComparison(now.arch, StructureOutcome.NO_EXPECTATION)
    totals = differences(_totals(before), _totals(now))
    triton = _by_module(before, now, "triton")
    extern = _by_module(before, now, "extern")
    other = other_versions or now.triton != before.triton
    outcome = _outcome(bool(totals or triton or extern), other)
    return ArchComparison(now.arch, outcome, totals, triton, extern)


def _totals(kernels: ArchKernels) -> dict[str, dict[str, int]]:
    return {part.part: _totals_of(part) for part in kernels.parts}


def _totals_of(part: CompiledPart) -> dict[str, int]:
    used = part.resources
    return {
        "graphs": part.graphs,
        "unique kernels": len(used),
        "kernel launches": part.launches,
        "extern calls": sum(part.extern_calls.values()),
        "registers of all kernels": sum(each.registers for each in used),
        "bytes spilled": sum(each.spilled_bytes for each in used),
        "bytes of shared memory": sum(each.shared_bytes for each in used),
    }


def _by_module(before: ArchKernels, now: ArchKernels, kind: str) -> tuple[CountDifference, ...]:
    merged: list[dict[str, Counter[str]]] = []
    for kernels in (before, now):
        calls: dict[str, Counter[str]] = {}
        for part in kernels.parts:
            for path, names in getattr(part, kind).items():
                calls.setdefault(path, Counter()).update(names)
        merged.append(calls)
    return differences(*merged)
