"""Steps and drifts in a sequence of numbers. Pure functions; no word of runs or hosts.

The search is that of penalised least squares (R. Killick, P. Fearnhead, I. A. Eckley, JASA 107,
2012), as `ruptures` has it. A point that stands alone is no change: neither in the middle nor at
the end, since two points at the end of a series are the least to speak of.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

Numbers = npt.NDArray[np.float64]

FEWEST_POINTS = 6
"""With fewer, nothing is known of the noise."""
FEWEST_AFTER = 2
"""Points that a change must last for."""
ALPHA = 0.01
"""Probability that noise alone makes a change in a series; measured in docs/history.md."""
_LAGS = (1, 2, 3)
_FEW = 4
_FEW_ARE_ODD = 1.2
_SPIKE = 3 * math.sqrt(2)
"""Standard deviations by which a spike differs from both its neighbours: three of a difference."""
_DRIFT_POINTS = 8
"""A slope over fewer points is taken for a step."""
_GRID = 40
"""Places of a drift's ends that are tried, at the most."""
_LOCATION = 7.35
"""Twice the log likelihood by which a place of a step may be worse than the best, with 95 %
confidence (B. E. Hansen, Econometrica 68, 2000, table 1)."""
_DEGREES = 0.3
"""Degrees of freedom a point that the noise is known from: the median absolute deviation has an
efficiency of 0.37, and neighbouring differences are not independent."""


@dataclass(frozen=True)
class Piece:
    """One change, in the unit of the numbers.

    Attributes:
        start: place of the first number that is not as before.
        end: place of the first number that is as after; of a step, the same.
        earliest: place at which it may have begun at the earliest, with 95 % confidence.
        latest: … and at the latest.
        before: level before.
        after: level after.
        error: standard error of their difference.
    """

    start: int
    end: int
    earliest: int
    latest: int
    before: float
    after: float
    error: float

    @property
    def is_drift(self) -> bool:
        """Whether it took its time."""
        return self.end > self.start


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        noise: standard deviation of a number around its level.
        pieces: changes, in order.
        fitted: level at each place.
        degrees_of_freedom: that the noise is known from.
    """

    noise: float
    pieces: tuple[Piece, ...]
    fitted: tuple[float, ...]
    degrees_of_freedom: float


def find_changes(numbers: npt.ArrayLike, days: npt.ArrayLike, floor: float) -> Found:
    """Steps and drifts.

    Args:
        numbers: at least `FEWEST_POINTS`, in the order of time.
        days: when each was taken.
        floor: noise that is assumed at the least, so that nobody hears of what does not matter.

    Raises:
        ValueError: too few numbers.
    """
    raw, times = np.asarray(numbers, float), np.asarray(days, float)
    if len(raw) < FEWEST_POINTS:
        raise ValueError(f"{len(raw)} numbers are too few")
    noise = max(noise_of(raw), floor)
    values = without_spikes(raw, noise)
    degrees = degrees_of_freedom(len(values))
    # One of n places, on either side.
    critical = float(stats.t.isf(ALPHA / (2 * len(values)), degrees))
    search = _Search(values, times, noise, critical)
    pieces = search.run()
    return Found(noise, pieces, tuple(_levels(values, times, pieces)), degrees)


def degrees_of_freedom(points: int) -> float:
    """That the noise of so many points is known from."""
    return max(2.0, _DEGREES * points)


def noise_of(values: Numbers) -> float:
    """Standard deviation around a level that may change, from differences of near neighbours.

    1.4826 MAD / sqrt(2), the largest of three lags, since a night is often like the one before.
    Steps and spikes are a few of many differences.
    """
    lags = (np.abs(values[lag:] - values[:-lag]) for lag in _LAGS if len(values) >= 4 * lag)
    return max(float(1.4826 * np.median(each) / math.sqrt(2)) for each in lags)


def without_spikes(values: Numbers, noise: float) -> Numbers:
    """The same with numbers that stand alone, or two by two, put to the level of their neighbours.

    The first and the last number have one neighbour: whether they stand alone is not known yet, so
    they count as if they did. Two at the end do not.
    """
    limit = _SPIKE * noise
    cleaned = values.copy()
    for width in (1, 2):
        for start in range(1, len(values) - width):
            sides = cleaned[start - 1], cleaned[start + width]
            block = cleaned[start : start + width]
            if block.min() - max(sides) > limit:
                cleaned[start : start + width] = max(sides)
            elif min(sides) - block.max() > limit:
                cleaned[start : start + width] = min(sides)
        for place, neighbour in ((0, 1), (-1, -2)):
            if abs(cleaned[place] - cleaned[neighbour]) > limit:
                cleaned[place] = cleaned[neighbour]
    return cleaned


def _error(noise: float, before: int, after: int) -> float:
    """Of the difference of two means; a few numbers may all be odd ones, as normal ones are not."""
    few = _FEW_ARE_ODD if min(before, after) < _FEW else 1.0
    return few * noise * math.sqrt(1 / before + 1 / after)


@dataclass(frozen=True)
class _Search:
    """A search under way; `critical` is how many standard errors a change must be."""

    values: Numbers
    days: Numbers
    noise: float
    critical: float

    def run(self) -> tuple[Piece, ...]:
        edges = self._significant(self._steps())
        if len(edges) == 2:
            drift = self._ramp(0, len(self.values)) if self._slopes() else None
            return (drift,) if drift is not None and self._is_clear(drift) else ()
        pieces: list[Piece] = []
        for first, last in self._groups(edges):
            low, high = edges[first - 1], edges[last + 1]
            steps = [self._step(edges, place) for place in range(first, last + 1)]
            ramp = self._ramp(low, high)
            pieces += (
                [ramp] if ramp is not None and self._is_ramp(ramp, steps, low, high) else steps
            )
        return tuple(pieces)

    def _slopes(self) -> bool:
        """Whether it is worth while to look for a drift."""
        explained = self._explained(self.values, self.days)
        return explained > (self.critical / 2) ** 2 * self.noise**2

    def _steps(self) -> list[int]:
        """Edges of segments, 0 and the length included."""
        import ruptures  # here, since every report imports this room

        search: Any = ruptures.KernelCPD(kernel="linear", min_size=FEWEST_AFTER)
        scaled = (self.values - np.median(self.values)) / self.noise
        ends = search.fit(scaled.reshape(-1, 1)).predict(pen=self.critical**2)
        return [0, *(int(end) for end in ends)]

    def _significant(self, edges: list[int]) -> list[int]:
        """Leave out the weakest step until all that are left are clear."""
        while len(edges) > 2:
            steps = [self._step(edges, place) for place in range(1, len(edges) - 1)]
            weakest = min(steps, key=lambda step: abs(step.after - step.before) / step.error)
            if self._is_clear(weakest):
                break
            edges = [edge for edge in edges if edge != weakest.start]
        return edges

    def _is_clear(self, piece: Piece) -> bool:
        return abs(piece.after - piece.before) > self.critical * piece.error

    def _step(self, edges: list[int], place: int) -> Piece:
        low, start, high = edges[place - 1 : place + 2]
        before, after = self.values[low:start], self.values[start:high]
        error = _error(self.noise, len(before), len(after))
        earliest, latest = self._where(low, high)
        return Piece(
            start,
            start,
            min(earliest, start),
            max(latest, start),
            float(before.mean()),
            float(after.mean()),
            error,
        )

    def _where(self, low: int, high: int) -> tuple[int, int]:
        """Places at which one step between two edges may be, with 95 % confidence."""
        part = self.values[low:high]
        places = np.arange(1, len(part))
        sums, total = np.cumsum(part)[:-1], part.sum()
        explained = sums**2 / places + (total - sums) ** 2 / (len(part) - places)
        likely = places[explained >= explained.max() - _LOCATION * self.noise**2]
        return low + int(likely.min()), low + int(likely.max())

    def _groups(self, edges: list[int]) -> list[tuple[int, int]]:
        """Steps one after the other in the same direction: they may be one drift."""
        means = [self.values[a:b].mean() for a, b in itertools.pairwise(edges)]
        signs = np.sign(np.diff(means))
        groups: list[tuple[int, int]] = []
        for place, sign in enumerate(signs, start=1):
            if groups and signs[groups[-1][1] - 1] == sign:
                groups[-1] = (groups[-1][0], place)
            else:
                groups.append((place, place))
        return groups

    def _ramp(self, low: int, high: int) -> Piece | None:
        """The best slope between two edges, level before and after it; None in too few points."""
        part, days = self.values[low:high], self.days[low:high]
        places = np.unique(np.linspace(0, len(part) - 1, min(_GRID, len(part))).astype(int))
        best: tuple[float, int, int] | None = None
        for start in places:
            for end in places[places >= start + _DRIFT_POINTS]:
                explained = self._explained(part, _shape(days, start, end))
                if best is None or explained > best[0]:
                    best = (explained, int(start), int(end))
        if best is None:
            return None
        _, start, end = best
        shape = _shape(days, start, end)
        slope, offset = np.polyfit(shape, part, 1)
        spread = float(((shape - shape.mean()) ** 2).sum())
        error = self.noise / math.sqrt(spread)
        first = low + start + 1  # the first that is not as before
        return Piece(
            first,
            low + end,
            max(low, first - _DRIFT_POINTS),
            min(high - 1, first + _DRIFT_POINTS),
            float(offset),
            float(offset + slope),
            error,
        )

    @staticmethod
    def _explained(part: Numbers, shape: Numbers) -> float:
        """Sum of squares that a shape explains of a part."""
        centred = shape - shape.mean()
        squares = float((centred**2).sum())
        return float((centred @ part) ** 2) / squares if squares > 0 else 0.0

    def _is_ramp(self, ramp: Piece, steps: list[Piece], low: int, high: int) -> bool:
        """Whether one slope tells the same better; each place that is free costs as much."""
        if not self._is_clear(ramp):
            return False
        part, days = self.values[low:high], self.days[low:high]
        cost = self.critical**2

        def misfit(pieces: list[Piece]) -> float:
            moved = [_moved(piece, -low) for piece in pieces]
            return float(((part - _levels(part, days, moved)) ** 2).sum()) / self.noise**2

        return misfit([ramp]) + 1.5 * cost < misfit(steps) + len(steps) * cost


def _moved(piece: Piece, by: int) -> Piece:
    return replace(piece, start=piece.start + by, end=piece.end + by)


def _shape(days: Numbers, start: int, end: int) -> Numbers:
    """0 up to a place, 1 from another on, and as time goes by between them."""
    length = days[end] - days[start]
    if length <= 0:
        return (np.arange(len(days)) >= end).astype(float)
    shape: Numbers = np.clip((days - days[start]) / length, 0, 1)
    return shape


def _levels(values: Numbers, days: Numbers, pieces: Sequence[Piece]) -> Numbers:
    """The level at each place."""
    if not pieces:
        return np.full(len(values), values.mean())
    levels = np.full(len(values), pieces[0].before)
    for piece in pieces:
        if piece.is_drift:
            shape = _shape(days, piece.start - 1, piece.end)
            change = (piece.after - piece.before) * shape
            levels[piece.start - 1 :] = piece.before + change[piece.start - 1 :]
        levels[piece.end :] = piece.after
    return levels
