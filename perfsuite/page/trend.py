"""How a tier's latency went from session to session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfsuite.judge.variance import median_interval
from perfsuite.page.ladder import median_s
from perfsuite.page.scale import Scale, spanning
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import Metric, Outcome

FEWEST = 3
"""Sessions that make a trend."""


@dataclass(frozen=True)
class Point:
    """One session; places are percent of the chart.

    Attributes:
        run_id: names it.
        at: when it was made, UTC, ISO 8601.
        across: from left to right, one step a session.
        up: from the bottom.
        low: of the interval of its median.
        high: of the interval.
        median_s: its latency, seconds.
        outcome: what was said of it.
        changed: packages whose version is not that of the session before, as 'torch 1 -> 2'.
    """

    run_id: str
    at: str
    across: float
    up: float
    low: float
    high: float
    median_s: float
    outcome: Outcome | None
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trend:
    """One tier over sessions of the same work on the same hardware.

    Attributes:
        label: names the tier.
        tier: whose colour it has.
        points: oldest first.
        scale: seconds.
    """

    label: str
    tier: str
    points: tuple[Point, ...]
    scale: Scale

    @property
    def line(self) -> str:
        """The points as an SVG path in a box of 100 x 100."""
        return "M" + " L".join(f"{each.across:.2f},{100 - each.up:.2f}" for each in self.points)

    @property
    def band(self) -> str:
        """The intervals as an SVG path around the line."""
        upper = [f"{each.across:.2f},{100 - each.high:.2f}" for each in self.points]
        lower = [f"{each.across:.2f},{100 - each.low:.2f}" for each in reversed(self.points)]
        return f"M{' L'.join([*upper, *lower])} Z"

    @property
    def change(self) -> float:
        """From the first session to the last, as a fraction."""
        return self.points[-1].median_s / self.points[0].median_s - 1


def subject(record: RunRecord, result: TierResult) -> tuple[object, ...]:
    """What two results must share to stand in one trend."""
    work = result.latency_workload or record.latency_workload
    hardware = record.environment.hardware.key
    return (hardware, record.checkpoint, record.identity, result.label, work.digest)


def trends(newest: RunRecord, records: Sequence[RunRecord]) -> tuple[Trend, ...]:
    """A trend for each tier of the newest session that enough sessions measured.

    Args:
        newest: the session whose tiers are drawn.
        records: all sessions, oldest first, the newest among them.
    """
    found = []
    for result in newest.tiers:
        wanted = subject(newest, result)
        series = [
            (record, each)
            for record in records
            for each in record.tiers
            if each.measurement and subject(record, each) == wanted
        ]
        if len(series) >= FEWEST and result.measurement:
            found.append(_trend(result, series))
    return tuple(found)


def _trend(result: TierResult, series: list[tuple[RunRecord, TierResult]]) -> Trend:
    medians = [median_s(each) for _, each in series]
    intervals = [median_interval(_samples(each)) for _, each in series]
    scale = spanning([*medians, *(end for interval in intervals for end in interval)])
    points = []
    for place, ((record, each), value) in enumerate(zip(series, medians, strict=True)):
        verdict = each.verdict(Metric.LATENCY)
        before = series[place - 1][0] if place else None
        points.append(
            Point(
                record.run_id,
                record.environment.recorded_at,
                100 * place / (len(series) - 1),
                scale.place(value),
                scale.place(intervals[place][0]),
                scale.place(intervals[place][1]),
                value,
                verdict.outcome if verdict else None,
                _changed(before, record) if before else (),
            )
        )
    return Trend(result.label, result.tier, tuple(points), scale)


def _samples(result: TierResult) -> tuple[float, ...]:
    assert result.measurement is not None
    return result.measurement.latency.samples_s


def _changed(before: RunRecord, now: RunRecord) -> tuple[str, ...]:
    old, new = before.environment.packages, now.environment.packages
    names = sorted({*old, *new})
    return tuple(
        f"{name} {old.get(name, 'none')} → {new.get(name, 'none')}"
        for name in names
        if old.get(name) != new.get(name)
    )
