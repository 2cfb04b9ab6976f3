"""How a tier's latency went from session to session, and where it changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from perfsuite.errors import HistoryError
from perfsuite.history.entries import entry_of_session
from perfsuite.judge.trend import trend_of
from perfsuite.page.scale import Scale, spanning
from perfsuite.results.history import Change, Kind, Point, Reading, Series, SeriesKey, Trend
from perfsuite.results.method import Finding
from perfsuite.results.session import RunRecord
from perfsuite.results.verdict import Basis, Metric, Outcome

FEWEST = 3
"""Sessions that make a trend."""
MOST = 90
"""Newest sessions of a history that are drawn."""


@dataclass(frozen=True)
class Mark:
    """One session; places are percent of the chart.

    Attributes:
        point: what it measured.
        value: seconds on the trend's basis: what slowed its probe as well is taken out, where the
            probe is what trends are judged by.
        across: from left to right, one step a session.
        up: from the bottom.
        low: of its interval.
        high: of its interval.
        changed: packages whose version is not that of the session before, as 'torch 1 → 2'.
    """

    point: Point
    value: float
    across: float
    up: float
    low: float
    high: float
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Since:
    """A change of the level.

    Attributes:
        change: what was found.
        across: where it began, percent of the chart: between two sessions.
        at: time of the first session after it.
        versions: that differ between the session before and after, as 'torch 1 → 2'.
    """

    change: Change
    across: float
    at: str
    versions: tuple[str, ...]


@dataclass(frozen=True)
class TrendChart:
    """One tier over sessions of the same work on the same hardware.

    Attributes:
        label: names the tier.
        tier: whose colour it has.
        marks: oldest first.
        scale: seconds.
        changes: oldest first.
        basis: which number of a session is drawn.
        level: the level that was found, as an SVG path; empty with too few sessions.
    """

    label: str
    tier: str
    marks: tuple[Mark, ...]
    scale: Scale
    changes: tuple[Since, ...]
    basis: Basis
    level: str

    @property
    def line(self) -> str:
        """The sessions as an SVG path in a box of 100 x 100."""
        return "M" + " L".join(f"{each.across:.2f},{100 - each.up:.2f}" for each in self.marks)

    @property
    def band(self) -> str:
        """The intervals as an SVG path around the line."""
        upper = [f"{each.across:.2f},{100 - each.high:.2f}" for each in self.marks]
        lower = [f"{each.across:.2f},{100 - each.low:.2f}" for each in reversed(self.marks)]
        return f"M{' L'.join([*upper, *lower])} Z"

    @property
    def change(self) -> float:
        """From the first session to the last, as a fraction."""
        return self.marks[-1].value / self.marks[0].value - 1


@dataclass(frozen=True)
class Past:
    """What earlier sessions measured.

    Attributes:
        series: latencies, by the digest of the key.
        findings: why some are not known.
    """

    series: Mapping[str, Series]
    findings: tuple[Finding, ...] = ()


def past_of(records: Sequence[RunRecord], place: str | None = None) -> Past:
    """Latencies of some sessions, and of those in a history that measured the same.

    Args:
        records: sessions.
        place: of the history; None for none.
    """
    known: dict[str, Series] = {}
    for record in records:
        for reading in latencies(record):
            one = Series(reading.key, (_point(record, reading),))
            _add(known, one)
    if place is None or not known:
        return Past(known)
    try:
        for series in _from_history(place, [each.key for each in known.values()]):
            if series.key.digest in known:
                _add(known, series)
    except HistoryError as error:
        return Past(known, (Finding("history", f"no trends: {error.problem}"),))
    except Exception as error:  # whatever a driver does, the rest of the page stands
        problem = f"no trends: {type(error).__name__}: {error}"
        return Past(known, (Finding("history", problem),))
    return Past(known)


def latencies(record: RunRecord) -> Iterable[Reading]:
    """What a session adds to series of latencies; what was invalid is no point of a trend."""
    for reading in entry_of_session(record).readings:
        is_latency = reading.key.quantity.name == Metric.LATENCY.value
        if is_latency and reading.outcome is not Outcome.INVALID:
            yield reading


def trend_charts(record: RunRecord, past: Past) -> tuple[TrendChart, ...]:
    """A chart for each tier of a session that enough sessions measured."""
    wanted = dict.fromkeys(reading.key for reading in latencies(record))
    found = (past.series.get(key.digest) for key in wanted)
    enough = (each for each in found if each is not None and len(each.points) >= FEWEST)
    return tuple(_chart(trend_of(series)) for series in enough)


def _from_history(place: str, keys: Sequence[SeriesKey]) -> list[Series]:
    from perfsuite.history.database import Database
    from perfsuite.history.store import Selection, load_series

    database = Database(place)
    if database.file is not None and not database.file.is_file():
        return []
    asked = {(key.checkpoint, key.hardware_key) for key in keys}
    return [
        series
        for checkpoint, hardware_key in sorted(asked)
        for series in load_series(
            database,
            Selection(
                kind=Kind.SESSION,
                metric=Metric.LATENCY.value,
                checkpoint=checkpoint,
                hardware_key=hardware_key,
                last=MOST,
            ),
        )
    ]


def _add(known: dict[str, Series], new: Series) -> None:
    """Join the points of one series, each session once, oldest first."""
    digest = new.key.digest
    before = known.get(digest)
    both = {each.run_id: each for each in (*(before.points if before else ()), *new.points)}
    points = sorted(both.values(), key=lambda each: (each.at, each.run_id))
    known[digest] = replace(new, points=tuple(points))


def _point(record: RunRecord, reading: Reading) -> Point:
    environment = record.environment
    return Point(
        record.run_id,
        environment.recorded_at,
        reading.value,
        reading.interval,
        reading.normalised,
        record.host,
        environment.packages,
        reading.outcome,
    )


def _chart(trend: Trend) -> TrendChart:
    points = trend.series.points
    values = trend.values or tuple(each.value for each in points)
    intervals = [_interval(*pair) for pair in zip(points, values, strict=True)]
    scale = spanning([*values, *(end for interval in intervals for end in interval)])
    step = 100 / (len(points) - 1)
    marks = tuple(
        Mark(
            point,
            values[place],
            step * place,
            scale.place(values[place]),
            scale.place(intervals[place][0]),
            scale.place(intervals[place][1]),
            _changed(points[place - 1], point) if place else (),
        )
        for place, point in enumerate(points)
    )
    level = [f"{step * n:.2f},{100 - scale.place(each):.2f}" for n, each in enumerate(trend.fitted)]
    key = trend.series.key
    changes = tuple(
        Since(
            each,
            step * (each.start - 0.5),
            points[each.start].at,
            tuple(f"{v.name} {v.before or 'none'} → {v.after or 'none'}" for v in each.versions),
        )
        for each in trend.changes
    )
    path = f"M{' L'.join(level)}" if level else ""
    return TrendChart(key.label, key.tier, marks, scale, changes, trend.basis, path)


def _interval(point: Point, value: float) -> tuple[float, float]:
    """A point's interval, as wide around its value on the trend's basis."""
    low, high = point.interval or (point.value, point.value)
    return low * value / point.value, high * value / point.value


def _changed(before: Point, now: Point) -> tuple[str, ...]:
    """Versions of packages that both sessions tell, and that differ."""
    names = sorted({*before.versions} & {*now.versions})
    return tuple(
        f"{name} {before.versions[name]} → {now.versions[name]}"
        for name in names
        if before.versions[name] != now.versions[name]
    )
