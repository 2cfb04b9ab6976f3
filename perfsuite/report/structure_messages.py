"""The wording of reasons that are about counts."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.results import structure_reasons as s
from perfsuite.results.counters import Counted
from perfsuite.results.reasons import Reason
from perfsuite.results.structure import CountDifference

_LISTED = 3
"""Differences, layers or places that a sentence names; the rest are counted."""


def say_structure(reason: Reason) -> str | None:
    """A reason of a verdict on counts in one line; None of any other."""
    match reason:
        case s.GraphBroken(breaks):
            said = [f"{each.reason} ({each.place})" for each in breaks]
            return f"{_count(len(breaks), 'graph break')}: {_some(said)}"
        case s.CompiledAgain(recompiles):
            said = [f"{each.function}, since {each.guard}" for each in recompiles]
            return f"compiled again {_times(len(recompiles))}: {_some(said)}"
        case s.NotQuantised(layers, of):
            return (
                f"{len(layers)} of {_count(of, 'layer')} that are to be quantised are not: "
                f"{_some(layers)}"
            )
        case s.QuantisedUnasked(layers):
            return (
                f"{_count(len(layers), 'layer')} quantised that the filter leaves out: "
                f"{_some(layers)}"
            )
        case s.AttentionSplit(modules):
            return (
                f"no scaled_dot_product_attention in {_count(len(modules), 'module')}: "
                f"{_some(modules)}"
            )
        case s.OtherPrecision(dtype, found):
            said = [f"{each.name} in {each.module}" for each in found]
            return f"products that are not in {dtype}: {_some(said)}"
        case s.CountsDiffer():
            return say_difference(reason)
        case s.LessThanBaseline():
            return "less is asked for than before: make it the baseline with --?update"
        case s.CountedElsewhere(before, now):
            return (
                f"counted with {', '.join(before)}, here is {', '.join(now)}: "
                "make it the baseline with --?update"
            )
        case s.StagesGrew(stages):
            grown = [f"{each.stage} {each.change:+.0%}" for each in stages]
            return f"{', '.join(grown)}, rest unchanged"
        case s.NotCounted(why, arm):
            whose = f"the {arm}'s" if arm else "these"
            return f"not counted, {whose} libraries do not let it: {why}"
        case s.NoCounts(tier):
            return f"no counts of tier '{tier}' are recorded: record them with --?update"
    return None


def say_difference(reason: s.CountsDiffer) -> str:
    """A count that differs: how many more, where, and the worst of what differs."""
    change = reason.now - reason.before
    if reason.what is Counted.LAYERS:
        return f"layers differ{_where(reason)}: {_worst(reason, say_layer)}"
    if change:
        more = "more" if change > 0 else "fewer"
        what = reason.what.value.removesuffix("s") if abs(change) == 1 else reason.what.value
        head = f"{abs(change):,} {more} {what}"
        head += f" ({reason.before:,} before, {reason.now:,} now)"
    else:
        head = f"other {reason.what.value}"
    return f"{head}{_where(reason)}: {_worst(reason, say_count)}"


def say_count(difference: CountDifference) -> str:
    """One count: '+2 aten.mm in unet.conv_in'."""
    return f"{difference.change:+,} {difference.name} in {difference.module}"


def say_layer(difference: CountDifference) -> str:
    """What a layer has become, or was."""
    became = "is" if difference.change > 0 else "was"
    return f"{difference.module} {became} {difference.name}"


def _worst(reason: s.CountsDiffer, words: object) -> str:
    assert callable(words)
    said = [words(each) for each in reason.worst]
    return _some(said, reason.others)


def _where(reason: s.CountsDiffer) -> str:
    alone = len(reason.worst) == 1 and not reason.others
    return f", all in {reason.within}" if reason.within and not alone else ""


def _some(said: Sequence[str], others: int = 0) -> str:
    rest = len(said) - _LISTED + others if len(said) > _LISTED else others
    return ", ".join(said[:_LISTED]) + (f" and {rest} more" if rest else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
