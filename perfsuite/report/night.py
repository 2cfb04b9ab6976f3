"""The night's issue: its title, what it says when it is opened, added to and closed."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.report.comment import session_comment
from perfsuite.report.numbers import ABSENT, format_change, format_percent, format_value
from perfsuite.report.table import Column, Details, Document, Heading, Legend, Lines, Row, Table
from perfsuite.results.night import Confirmation, Night, Regression
from perfsuite.results.session import RunRecord
from perfsuite.results.verdict import Metric, Outcome, Verdict

COLUMNS = (
    Column("tier", is_text=True),
    Column("of", is_text=True),
    Column("first run"),
    Column("second run"),
    Column("", is_text=True),
    Column("where", is_text=True),
)
_LONGEST_TITLE = 200
"""Characters; GitHub takes 256."""


def night_title(night: Night) -> str:
    """What grew, in one line."""
    first, *others = night.confirmed
    more = f", and {len(others)} more" if others else ""
    title = f"Nightly: {_grew(first)} on {first.hardware.model}{more}"
    return title if len(title) <= _LONGEST_TITLE else f"{title[:_LONGEST_TITLE]}…"


def night_document(night: Night, records: Sequence[RunRecord], link: str = "") -> Document:
    """What a night says: regressions worst first, then every session, folded.

    Args:
        night: the judgement.
        records: the sessions.
        link: to where the records and pages can be had; empty without one.
    """
    return Document(
        (
            Heading(_sentence(night)),
            *((Lines((f"Records, pages and logs: {link}",)),) if link else ()),
            *((Table(COLUMNS, tuple(map(_row, night.regressions))),) if night.regressions else ()),
            Lines(tuple(_open_questions(night))),
            *(
                Details(f"{record.run_id}: {record.environment.hardware.model}", _session(record))
                for record in reversed(records)
            ),
        )
    )


def green_document(night: Night, link: str = "") -> Document:
    """What closes the issue."""
    said = f"A green night: {night.judged} verdicts of {night.sessions} sessions passed."
    return Document((Lines((said, *((link,) if link else ()))),))


def regression_line(regression: Regression) -> str:
    """A regression with what the second run said: for the terminal."""
    second = _value(regression.metric, regression.second)
    again = f"; once more: {second}" if second != ABSENT else ""
    return f"{_grew(regression)}{again}: {regression.confirmation.value}"


def _session(record: RunRecord) -> tuple[Heading | Lines | Table | Legend | Details, ...]:
    kept = session_comment(record).blocks
    return tuple(each for each in kept if isinstance(each, (Lines, Table, Legend, Details)))


def _sentence(night: Night) -> str:
    confirmed = len(night.confirmed)
    if confirmed:
        return f"{confirmed} regression{'s' if confirmed > 1 else ''}, each seen in two processes"
    return "Nothing is worse in both of two processes"


def _open_questions(night: Night) -> list[str]:
    said = [f"{name}: {outcome.value}" for name, outcome in night.unsettled]
    said += [f"session {run_id} was cut short" for run_id in night.incomplete]
    once = [each for each in night.regressions if each.confirmation is Confirmation.MISSING]
    if once:
        said.append(f"{len(once)} seen once: perfsuite confirm measures them again")
    return said


def _row(regression: Regression) -> Row:
    verdict = regression.first
    cells = (
        regression.label,
        regression.metric.value if regression.metric else "error",
        _value(regression.metric, verdict) if verdict else regression.error,
        _value(regression.metric, regression.second),
        regression.confirmation.value,
        f"{regression.hardware.key}, {regression.checkpoint}",
    )
    return Row(cells, Outcome.REGRESSED)


def _value(metric: Metric | None, verdict: Verdict | None) -> str:
    """The change where there is one, else what was measured."""
    if verdict is None or metric is None:
        return ABSENT
    if verdict.change is not None:
        return format_change(verdict.change, verdict.change_interval)
    return format_value(metric, verdict.measured)


def _grew(regression: Regression) -> str:
    verdict = regression.first
    if verdict is None:
        return f"{regression.label} fails ({regression.error})"
    if regression.metric is Metric.LATENCY and verdict.change is not None:
        return f"{regression.label} is {format_percent(verdict.change)} slower"
    return f"{regression.label} is worse in {verdict.metric.value}"
