"""What a record says in one sentence: the title of a page, a comment and an issue."""

from __future__ import annotations

from collections.abc import Iterable

from perfsuite.report.numbers import format_percent
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import Metric, Outcome, gravest

_UNDECIDED = (
    Outcome.INVALID,
    Outcome.INCONCLUSIVE,
    Outcome.NO_BASELINE,
    Outcome.NOT_CALIBRATED,
    Outcome.NOT_MEASURED,
    Outcome.NOT_SUPPORTED,
)


def session_headline(record: RunRecord) -> str:
    """The verdict on a session: what grew first, then what was not settled, then what passed."""
    if not record.tiers:
        return "Nothing was measured."
    worse = [said for each in record.tiers if (said := what_is_worse(each))]
    broken = [each.label for each in record.tiers if each.error]
    parts = []
    if worse:
        parts.append(_listed(worse))
    if broken:
        parts.append(f"{_listed(broken)} did not run to the end")
    for outcome in _UNDECIDED:
        open_ = [each for each in record.tiers if not each.error and each.overall is outcome]
        if open_:
            parts.append(_not_settled(open_, outcome))
    parts += _what_held(record, first=not parts)
    sentence = "; ".join(parts) or "Nothing was judged"
    cut_short = "" if record.complete else " The session was cut short."
    begins_with_a_name = any(sentence.startswith(each.label) for each in record.tiers)
    first = sentence[:1] if begins_with_a_name else sentence[:1].upper()
    return f"{first}{sentence[1:]}.{cut_short}"


def session_outcome(record: RunRecord) -> Outcome | None:
    """The gravest of all verdicts; an error counts as a regression; None if nothing was judged."""
    if any(each.error for each in record.tiers):
        return Outcome.REGRESSED
    outcomes = [each.overall for each in record.tiers]
    return gravest(each for each in outcomes if each is not None)


def what_is_worse(result: TierResult) -> str:
    """What regressed in a tier, in a few words; empty if nothing did."""
    said = []
    for verdict in result.verdicts:
        if verdict.outcome is not Outcome.REGRESSED:
            continue
        if verdict.metric is Metric.LATENCY:
            grew = verdict.change
            said.append("is slower" if grew is None else f"is {format_percent(grew)} slower")
        elif verdict.metric is Metric.IMAGES:
            said.append("makes worse images")
        elif verdict.metric is Metric.EXACTNESS:
            said.append("is not exact")
        else:
            said.append(f"is worse in {verdict.metric.value}")
    return f"{result.label} {' and '.join(said)}" if said else ""


def _not_settled(results: list[TierResult], outcome: Outcome) -> str:
    """Which tiers came to no verdict; where that is their latency alone, what the images said."""
    names = _listed(each.label for each in results)
    said = [each for result in results for each in result.verdicts if each.outcome is outcome]
    if any(each.metric is not Metric.LATENCY for each in said):
        return f"{names} {'is' if len(results) == 1 else 'are'} {outcome.value}"
    images = [each.image_outcome for each in results]
    held = all(each is Outcome.PASSED for each in images)
    return f"latency of {names} is {outcome.value}{', images passed' if held else ''}"


def _what_held(record: RunRecord, *, first: bool) -> list[str]:
    passed = [each for each in record.tiers if not each.error and each.overall is Outcome.PASSED]
    better = [each for each in record.tiers if not each.error and each.overall is Outcome.IMPROVED]
    noted = [each for each in record.tiers if not each.error and each.overall is Outcome.RECORDED]
    said = []
    if better:
        said.append(f"{_listed(each.label for each in better)} improved")
    if passed:
        everything = first and not better and not noted
        said.append(_how_many(len(passed), "passed", everything=everything))
    if noted:
        recorded = "recorded as the baseline that later runs are held against"
        said.append(_how_many(len(noted), recorded, everything=first and not better and not passed))
    return said


def _how_many(count: int, what: str, *, everything: bool) -> str:
    if count == 1:
        return f"one tier {what}"
    return f"all {count} tiers {what}" if everything else f"{count} tiers {what}"


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
