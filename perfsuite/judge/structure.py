"""Counts against those of a baseline, or of a gate's control. Pure.

Counts have no noise: within the same versions of torch and of everything else, one that differs is
a change. What is wrong by itself (a graph break, a layer that was to be quantised) fails without a
baseline.
"""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.results.counters import Counted, TierCounters
from perfsuite.results.reasons import Reason
from perfsuite.results.structure import (
    OUTSIDE,
    CountDifference,
    common_path,
    differences,
    is_within,
    total,
)
from perfsuite.results.structure_reasons import (
    AttentionSplit,
    CompiledAgain,
    CountedElsewhere,
    CountsDiffer,
    GraphBroken,
    LessThanBaseline,
    NoCounts,
    NotCounted,
    NotQuantised,
    OtherPrecision,
    QuantisedUnasked,
)
from perfsuite.results.verdict import Metric, Outcome, Verdict

MOST_LISTED = 8
"""Differences of one kind that a reason carries; the rest are counted."""
_PRECISIONS = ("float32", "bfloat16")
"""Dtypes whose tiers compute every product in them; float16 leaves some in float32 on purpose."""
_INTEGER_PRODUCT = "int32"
_SEPARATE_ATTENTION = ("aten._softmax", "aten._safe_softmax")


@dataclass(frozen=True)
class RecordedCounts:
    """What a tier's counts are held against.

    Attributes:
        counters: the counts.
        same_machine: whether the CPU's vectors, or the accelerator's model, are the same.
        before: versions that they were counted with, where these are not the present ones.
        now: the present versions, where they differ.
    """

    counters: TierCounters
    same_machine: bool = True
    before: tuple[str, ...] = ()
    now: tuple[str, ...] = ()


def judge_structure(tier: str, counted: TierCounters, recorded: RecordedCounts | None) -> Verdict:
    """Hold a tier's counts against recorded ones.

    `regressed`: something is wrong by itself, or within the same versions more is asked for, or
    something else. `improved`: less is asked for. `no baseline`: nothing was recorded, or with
    other versions; what differs from those is said.
    """
    wrong = faults(counted)
    changed = () if recorded is None else compare_counts(counted, recorded)
    measured = float(counted.image.operators)
    expected = None if recorded is None else float(recorded.counters.image.operators)
    if wrong:
        outcome, reasons = Outcome.REGRESSED, (*wrong, *changed)
    elif recorded is None:
        outcome, reasons = Outcome.NO_BASELINE, (NoCounts(tier),)
    elif recorded.before:
        versions = CountedElsewhere(recorded.before, recorded.now)
        outcome, reasons = Outcome.NO_BASELINE, (versions, *changed)
    elif not changed:
        outcome, reasons = Outcome.PASSED, ()
    elif all(is_less(each) for each in changed):
        outcome, reasons = Outcome.IMPROVED, (LessThanBaseline(), *changed)
    else:
        outcome, reasons = Outcome.REGRESSED, changed
    return Verdict(Metric.STRUCTURE, outcome, reasons, measured=measured, expected=expected)


def judge_arms(control: TierCounters, treatment: TierCounters, *, same_versions: bool) -> Verdict:
    """Hold the counts of a gate's treatment against those of its control.

    `regressed`: something is wrong by itself that is not so in the control; or within the same
    versions anything differs. Between versions a difference is said, for review, and passes.
    """
    known = faults(control)
    wrong = tuple(each for each in faults(treatment) if each not in known)
    changed = compare_counts(treatment, RecordedCounts(control))
    outcome = Outcome.REGRESSED if wrong or (changed and same_versions) else Outcome.PASSED
    return Verdict(
        Metric.STRUCTURE,
        outcome,
        (*wrong, *changed),
        measured=float(treatment.image.operators),
        expected=float(control.image.operators),
    )


def not_counted(why: str, arm: str = "") -> Verdict:
    """What is said where libraries do not let it be counted: never a pass."""
    return Verdict(Metric.STRUCTURE, Outcome.NOT_SUPPORTED, (NotCounted(why, arm),))


def faults(counted: TierCounters) -> tuple[Reason, ...]:
    """What is wrong whatever a baseline says."""
    found: list[Reason] = []
    compilation, layers = counted.compilation, counted.layers
    if compilation is not None and compilation.breaks:
        found.append(GraphBroken(compilation.breaks))
    if compilation is not None and compilation.recompiles:
        found.append(CompiledAgain(compilation.recompiles))
    if layers.missed:
        found.append(NotQuantised(layers.missed, len(layers.missed) + len(layers.quantised)))
    if layers.unwanted:
        found.append(QuantisedUnasked(layers.unwanted))
    split = _split_attention(counted)
    if counted.fused_attention and split:
        found.append(AttentionSplit(split))
    strange = _other_precision(counted)
    if strange:
        found.append(OtherPrecision(counted.dtype, strange))
    return tuple(found)


def compare_counts(now: TierCounters, recorded: RecordedCounts) -> tuple[CountsDiffer, ...]:
    """Every kind of count that differs, in the order of `Counted`."""
    before, after = recorded.counters.tallies(), now.tallies()
    found = []
    for what in Counted:
        if what.is_of_the_machine and not recorded.same_machine:
            continue
        changed = differences(before[what], after[what])
        if changed:
            listed = changed[:MOST_LISTED]
            totals = total(before[what]), total(after[what])
            others = len(changed) - len(listed)
            found.append(CountsDiffer(what, *totals, listed, others, common_module(changed)))
    return tuple(found)


def is_less(difference: CountsDiffer) -> bool:
    """Whether a difference is for the better."""
    return difference.what.is_cost and difference.now < difference.before


def common_module(changed: tuple[CountDifference, ...]) -> str:
    """Path of the module that all differences are in; empty if there is none."""
    return common_path(each.module for each in changed)


def _split_attention(counted: TierCounters) -> tuple[str, ...]:
    """Modules among those that optimisations act on that compute a softmax of their own."""
    roots = {path.partition(".")[0] for path in counted.layers.layers}
    return tuple(
        path
        for path, names in counted.image.calls.items()
        if any(is_within(path, root) for root in roots)
        and any(name in names for name in _SEPARATE_ATTENTION)
    )


def _other_precision(counted: TierCounters) -> tuple[CountDifference, ...]:
    """Products of modules in another dtype than the tier's; most frequent first."""
    if counted.dtype not in _PRECISIONS:
        return ()
    found = [
        CountDifference(path, dtype, 0, n)
        for path, dtypes in counted.image.products.items()
        for dtype, n in dtypes.items()
        if dtype not in (counted.dtype, _INTEGER_PRODUCT) and path != OUTSIDE
    ]
    return tuple(sorted(found, key=lambda each: (-each.now, each.module)))
