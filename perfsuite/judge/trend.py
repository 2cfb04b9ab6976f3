"""What changed in a series of runs, when, and whether in the code or on a host. Pure functions."""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from perfsuite.judge.changes import (
    FEWEST_AFTER,
    FEWEST_POINTS,
    Found,
    Piece,
    degrees_of_freedom,
    find_changes,
    noise_of,
)
from perfsuite.judge.variance import STEADY_RATIO
from perfsuite.results.history import (
    Cause,
    Change,
    Point,
    Series,
    Shape,
    Trend,
    VersionChange,
)
from perfsuite.results.two_runs import Noise
from perfsuite.results.verdict import Basis

RELATIVE_FLOOR = 0.002
"""Noise of a fraction of the level that is assumed at the least."""
_ABSOLUTE_FLOOR = 0.1
"""The same for values that may be 0, such as counts: one more is a change, if it lasts."""
_WINDOW = 5
"""Points on either side of one that tell the level there, host by host."""
_SHOWS_IT = 0.5
"""A host shows a change if its own is at least this part of it."""
_DAY_S = 86400.0


def trend_of(series: Series) -> Trend:
    """Search a series; with fewer than six points nothing is said of it."""
    points = series.points
    positive = all(point.value > 0 for point in points)
    basis = _basis(points) if positive else Basis.RAW
    scale = _typical_probe(points) if basis is Basis.PROBE else 1.0
    values = [_value(point, basis) * scale for point in points]
    trend = Trend(series, basis, is_relative=positive, values=tuple(values))
    if len(points) < FEWEST_POINTS:
        return trend
    numbers = np.log(values) if positive else np.asarray(values)
    days = _days(points)
    floor = RELATIVE_FLOOR if positive else _ABSOLUTE_FLOOR
    hosts = [point.host for point in points]
    levelled = numbers - _host_offsets(numbers, hosts)
    found = find_changes(levelled, days, floor)
    seen = [_judged(series, levelled, days, found, piece, positive) for piece in found.pieces]
    alone = _of_single_hosts(series, levelled, days, floor, positive, seen)
    changes = sorted([*seen, *alone], key=lambda change: change.start)
    fitted = [math.exp(level) if positive else level for level in found.fitted]
    return replace(trend, noise=found.noise, changes=tuple(changes), fitted=tuple(fitted))


def noise_in(series: Series) -> Noise | None:
    """How much runs of the same code differ; None with too few points, or values that may be 0."""
    trend = trend_of(series)
    if trend.noise is None or not trend.is_relative:
        return None
    degrees = degrees_of_freedom(len(series.points))
    return Noise(trend.noise, degrees, is_raw=trend.basis is Basis.RAW)


def _basis(points: Sequence[Point]) -> Basis:
    """Multiples of the probe, unless the values themselves are much steadier, as in a session."""
    ratios = [point.normalised for point in points]
    known = [ratio for ratio in ratios if ratio is not None and ratio > 0]
    if len(known) < len(points) or not points:
        return Basis.RAW
    if len(points) < FEWEST_POINTS:
        return Basis.PROBE
    raw = noise_of(np.log([point.value for point in points]))
    return Basis.RAW if raw <= STEADY_RATIO * noise_of(np.log(known)) else Basis.PROBE


def _value(point: Point, basis: Basis) -> float:
    return point.normalised or 0.0 if basis is Basis.PROBE else point.value


def _typical_probe(points: Sequence[Point]) -> float:
    """What one of the probe is in the series' unit: so a level is one that people know."""
    return statistics.median(point.value / (point.normalised or 1.0) for point in points)


def _days(points: Sequence[Point]) -> list[float]:
    """Days since the first point; in order, whatever the clocks said."""
    times = [datetime.datetime.fromisoformat(point.at).timestamp() for point in points]
    return [(time - times[0]) / _DAY_S for time in np.maximum.accumulate(times)]


def _host_offsets(
    numbers: npt.NDArray[np.float64], hosts: Sequence[str | None]
) -> npt.NDArray[np.float64]:
    """How much each host is above the others that run at the same time; 0 where none does.

    A host's offset is the median of its distances to the local level, which is the mean of the
    hosts' own levels nearby: where one host takes over from another, a step stays a step.
    """
    names = set(hosts)
    if len(names) < 2:
        return np.zeros(len(numbers))
    distances: dict[str | None, list[float]] = {name: [] for name in names}
    for place, host in enumerate(hosts):
        near = range(max(0, place - _WINDOW), min(len(hosts), place + _WINDOW + 1))
        levels: dict[str | None, list[float]] = {}
        for other in near:
            levels.setdefault(hosts[other], []).append(numbers[other])
        means = {name: statistics.median(each) for name, each in levels.items()}
        distances[host].append(means[host] - statistics.fmean(means.values()))
    offsets = {name: statistics.median(each) for name, each in distances.items()}
    return np.asarray([offsets[host] for host in hosts])


def _judged(
    series: Series,
    numbers: npt.NDArray[np.float64],
    days: Sequence[float],
    found: Found,
    piece: Piece,
    positive: bool,
) -> Change:
    """A change with what hosts and versions say of it."""
    change = _change(series, days, found, piece, positive)
    shown, still = _hosts(series.points, numbers, found, piece)
    if shown and still:
        cause = Cause.HOST
    elif len(shown) > 1:
        cause = Cause.CODE
    else:
        cause = Cause.UNKNOWN
    return replace(change, cause=cause, hosts=shown, unmoved=still)


def _change(
    series: Series, days: Sequence[float], found: Found, piece: Piece, positive: bool
) -> Change:
    margin = float(stats.t.isf(0.025, found.degrees_of_freedom)) * piece.error
    size = piece.after - piece.before
    ends = (size, size - margin, size + margin)
    if positive:
        ends = (math.expm1(ends[0]), math.expm1(ends[1]), math.expm1(ends[2]))
    before, after = piece.before, piece.after
    weeks = (days[piece.end] - days[piece.start - 1]) / 7 if piece.is_drift else 0.0
    quantity = series.key.quantity
    return Change(
        shape=Shape.DRIFT if piece.is_drift else Shape.STEP,
        start=piece.start,
        end=piece.end,
        earliest=piece.earliest,
        latest=piece.latest,
        before=math.exp(before) if positive else before,
        after=math.exp(after) if positive else after,
        change=ends[0],
        change_interval=(ends[1], ends[2]),
        is_worse=(size < 0) == quantity.less_is_worse,
        per_week=(math.expm1(size / weeks) if positive else size / weeks) if weeks else None,
        versions=version_changes(series.points, piece.earliest - 1, max(piece.latest, piece.end)),
    )


def version_changes(points: Sequence[Point], before: int, after: int) -> tuple[VersionChange, ...]:
    """Versions that the run at `after` has and the run at `before` had not, by name."""
    return changes_between(
        points[max(before, 0)].versions, points[min(after, len(points) - 1)].versions
    )


def changes_between(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[VersionChange, ...]:
    """Versions that differ, by name."""
    return tuple(
        VersionChange(name, old.get(name), new.get(name))
        for name in sorted({*old, *new}, key=str.lower)
        if old.get(name) != new.get(name)
    )


def _hosts(
    points: Sequence[Point], numbers: npt.NDArray[np.float64], found: Found, piece: Piece
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Hosts that show a change, and hosts that do not; of others there is too little to tell."""
    low, high = _neighbourhood(found, piece)
    size = piece.after - piece.before
    inside = (piece.end - piece.start) // 3  # a drift is told by its first and last third
    shown, still = [], []
    for host in sorted({point.host for point in points if point.host is not None}):
        own = [place for place in range(low, high) if points[place].host == host]
        before = [numbers[place] for place in own if place < piece.start + inside]
        after = [numbers[place] for place in own if place >= piece.end - inside]
        if min(len(before), len(after)) < FEWEST_AFTER:
            continue
        moved = statistics.median(after) - statistics.median(before)
        error = found.noise * math.sqrt(1 / len(before) + 1 / len(after))
        if moved / size >= _SHOWS_IT and abs(moved) > 2 * error:
            shown.append(host)
        elif moved / size < _SHOWS_IT and abs(size) > 2 * error:
            still.append(host)
    return tuple(shown), tuple(still)


def _neighbourhood(found: Found, piece: Piece) -> tuple[int, int]:
    """Places from the change before to the change after."""
    low = max((each.end for each in found.pieces if each.end < piece.start), default=0)
    starts = (each.start for each in found.pieces if each.start > piece.end)
    return low, min(starts, default=len(found.fitted))


def _of_single_hosts(
    series: Series,
    numbers: npt.NDArray[np.float64],
    days: Sequence[float],
    floor: float,
    positive: bool,
    seen: Sequence[Change],
) -> list[Change]:
    """Changes that one host shows and others, which ran meanwhile, do not: no series shows them."""
    points = series.points
    hosts: Mapping[str | None, list[int]] = {
        host: [place for place, point in enumerate(points) if point.host == host]
        for host in dict.fromkeys(point.host for point in points)
    }
    changes: list[Change] = []
    if len(hosts) < 2:
        return changes
    for places in hosts.values():
        if len(places) < FEWEST_POINTS:
            continue
        own = find_changes(numbers[places], [days[place] for place in places], floor)
        for piece in own.pieces:
            on_all = _placed(piece, places)
            whole = replace(own, pieces=(on_all,), fitted=(0.0,) * len(points))
            change = _judged(series, numbers, days, whole, on_all, positive)
            known = any(
                each.earliest <= change.latest and change.earliest <= each.latest for each in seen
            )
            if change.cause is Cause.HOST and not known:
                changes.append(change)
    return changes


def _placed(piece: Piece, places: Sequence[int]) -> Piece:
    """A change in the points of one host, by its places among all."""
    return replace(
        piece,
        start=places[piece.start],
        end=places[piece.end],
        earliest=places[piece.earliest],
        latest=places[piece.latest],
    )
