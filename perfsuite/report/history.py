"""Lists of past runs, two of them side by side, and trends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perfsuite.report.numbers import (
    ABSENT,
    format_bytes,
    format_change,
    format_percent,
    format_seconds,
    format_signed,
)
from perfsuite.report.table import Column, Document, Heading, Lines, Row, Table
from perfsuite.results.history import (
    Cause,
    Change,
    PastRun,
    Shape,
    Trend,
    Unit,
    VersionChange,
)
from perfsuite.results.two_runs import PairedReading
from perfsuite.results.verdict import Outcome

RUN_COLUMNS = (
    Column("when (UTC)", is_text=True, sheds=4),
    Column("run", is_text=True),
    Column("made by", is_text=True, sheds=3),
    Column("host", is_text=True, sheds=1),
    Column("what", is_text=True, sheds=2),
    Column("verdict", is_text=True),
)
PAIR_COLUMNS = (
    Column("tier", is_text=True),
    Column("metric", is_text=True),
    Column("before", sheds=1),
    Column("after", sheds=2),
    Column("change"),
)
TREND_COLUMNS = (
    Column("tier", is_text=True),
    Column("metric", is_text=True, sheds=3),
    Column("runs", sheds=2),
    Column("first", is_text=True, sheds=4),
    Column("last", is_text=True, sheds=5),
    Column("level"),
    Column("noise", sheds=1),
    Column("last change", is_text=True),
)
_LONGEST = 28
_MOST_VERSIONS = 6
TREND_LEGEND = (
    "level: where the series is now; noise: standard deviation between runs without a change; a "
    "change has to last for two runs at least, and is as unlikely by chance as 1 in 100 series"
)
PAIR_LEGEND = (
    "change: with the 95 % interval that noise between two runs of the same code leaves; latency "
    "as a multiple of the probe's"
)


def history_document(runs: Sequence[PastRun], place: str) -> Document:
    """A list of runs, oldest first."""
    rows = tuple(Row(_run_cells(run), run.outcome) for run in runs)
    return Document((Heading(f"{place}: {_count(len(runs), 'run')}"), Table(RUN_COLUMNS, rows)))


def comparison_document(
    before: PastRun,
    after: PastRun,
    pairs: Sequence[PairedReading],
    versions: Sequence[VersionChange],
) -> Document:
    """Two runs side by side; what may not be compared is named below."""
    rows = tuple(Row(_pair_cells(pair), None) for pair in pairs)
    return Document(
        (
            Heading(f"{after.run_id} against {before.run_id}"),
            Table(PAIR_COLUMNS, rows),
            Lines((*_unlike(pairs), *_hosts(before, after), *_changed(versions))),
            Lines((PAIR_LEGEND,), dim=True),
        )
    )


def trend_document(trends: Sequence[Trend]) -> Document:
    """One row for each series, and one line for each change."""
    return Document(
        (
            Heading(_about(trends)),
            Table(TREND_COLUMNS, tuple(_trend_row(trend) for trend in trends)),
            Lines(tuple(line for trend in trends for line in _said_of(trend))),
            Lines((TREND_LEGEND,), dim=True),
        )
    )


def format_in_unit(unit: Unit, value: float | None) -> str:
    """A value of a series for people."""
    if value is None:
        return ABSENT
    if unit is Unit.SECONDS:
        return format_seconds(value)
    if unit is Unit.BYTES:
        return format_bytes(value)
    if unit is Unit.COUNT:
        return f"{value:.0f}"
    return f"{value:.1f} dB" if unit is Unit.DECIBELS else f"{value:.4f}"


def say_change(change: Change, trend: Trend) -> str:
    """A change in one line: how much, when, whose, and which versions."""
    points = trend.series.points
    start = points[change.start]
    amount = format_change(change.change, change.change_interval)
    unit = trend.series.key.quantity.unit
    if not trend.is_relative:
        amount = f"{format_in_unit(unit, change.before)} to {format_in_unit(unit, change.after)}"
    if change.shape is Shape.DRIFT:
        weekly = format_signed(change.per_week) if trend.is_relative else f"{change.per_week:+.2g}"
        end = points[change.end].at[:10]
        said = f"{amount}, drifting {weekly} a week from {start.at[:10]} to {end}"
    else:
        said = f"{amount} since {start.at[:10]} ({start.run_id}{_place(change, trend)})"
    parts = [said, _whose(change)]
    if change.versions:
        parts.append(f"changed then: {_listed(change.versions)}")
    return "; ".join(part for part in parts if part)


def _place(change: Change, trend: Trend) -> str:
    if change.latest - change.earliest < 2:
        return ""
    points = trend.series.points
    return f", between {points[change.earliest].at[:10]} and {points[change.latest].at[:10]}"


def _whose(change: Change) -> str:
    if change.cause is Cause.HOST:
        return (
            f"the host's: {', '.join(change.hosts)} alone, {', '.join(change.unmoved)} "
            f"{'does' if len(change.unmoved) == 1 else 'do'} not show it"
        )
    if change.cause is Cause.CODE:
        return f"the code's: all of {', '.join(change.hosts)} show it"
    return "host or code cannot be told: no two hosts ran before and after"


def _run_cells(run: PastRun) -> tuple[str, ...]:
    verdict = run.outcome.value if run.outcome else ABSENT
    return (
        run.at[:16].replace("T", " "),
        run.run_id,
        run.kind.value,
        run.host or ABSENT,
        _short(f"{run.checkpoint}: {run.title}" if run.checkpoint else run.title),
        verdict if run.complete else f"{verdict}, cut short",
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2].rstrip(' ,')} …"


def _pair_cells(pair: PairedReading) -> tuple[str, ...]:
    unit = pair.key.quantity.unit
    change = format_change(pair.change, pair.change_interval)
    if pair.change_interval is None:
        change = format_signed(pair.change)
    if not pair.is_like:
        change = "not like"
    return (
        pair.key.label,
        pair.key.quantity.name,
        format_in_unit(unit, pair.before),
        format_in_unit(unit, pair.after),
        change,
    )


def _unlike(pairs: Sequence[PairedReading]) -> list[str]:
    """Why values are not compared; what all tiers share is said once."""
    named: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.is_like:
            continue
        facts = ", ".join(
            f"{own.name} {own.value} / {their.value}" for own, their in pair.differences
        )
        said = facts or "one of both does not tell what it measured"
        named.setdefault(said, []).append(f"{pair.key.label} {pair.key.quantity.name}")
    return [f"not compared ({said}): {', '.join(names)}" for said, names in named.items()]


def _hosts(before: PastRun, after: PastRun) -> list[str]:
    if before.host == after.host:
        return []
    return [f"on another host: {before.host or 'unknown'}, then {after.host or 'unknown'}"]


def _changed(versions: Sequence[VersionChange]) -> list[str]:
    return [f"changed: {_listed(versions)}"] if versions else []


def _listed(versions: Sequence[VersionChange]) -> str:
    said = [
        f"{each.name} {each.before or 'none'} to {each.after or 'none'}"
        for each in versions[:_MOST_VERSIONS]
    ]
    more = len(versions) - _MOST_VERSIONS
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")


def _about(trends: Iterable[Trend]) -> str:
    keys = [trend.series.key for trend in trends]
    work = dict.fromkeys(f"{key.checkpoint} on {key.hardware_key}" for key in keys)
    return f"{_count(len(keys), 'series', 'series')}: {'; '.join(work)}"


def _trend_row(trend: Trend) -> Row:
    key, points = trend.series.key, trend.series.points
    last = trend.changes[-1] if trend.changes else None
    level = trend.fitted[-1] if trend.fitted else None
    noise = format_percent(trend.noise) if trend.is_relative else ABSENT
    cells = (
        key.label,
        key.quantity.name,
        str(len(points)),
        points[0].at[:10] if points else ABSENT,
        points[-1].at[:10] if points else ABSENT,
        format_in_unit(key.quantity.unit, level),
        noise,
        _summary(trend, last),
    )
    outcome = None
    if last is not None:
        outcome = Outcome.REGRESSED if last.is_worse else Outcome.IMPROVED
    return Row(cells, outcome)


def _summary(trend: Trend, change: Change | None) -> str:
    if not trend.fitted:
        return "too few runs"
    if change is None:
        return "none"
    by = format_signed(change.change) if trend.is_relative else f"{change.change:+.3g}"
    verb = "drift from" if change.shape is Shape.DRIFT else "since"
    return f"{by} {verb} {trend.series.points[change.start].at[:10]}"


def _said_of(trend: Trend) -> list[str]:
    key = trend.series.key
    name = f"{key.label} {key.quantity.name}"
    lines = [f"{name}: {say_change(change, trend)}" for change in trend.changes]
    if trend.series.left_out:
        lines.append(f"{name}: {_count(trend.series.left_out, 'invalid run')} left out")
    return lines


def _count(number: int, one: str, several: str | None = None) -> str:
    return f"{number} {one if number == 1 else several or f'{one}s'}"
