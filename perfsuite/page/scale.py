"""From values to places on a page: scales with round ticks, and densities of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

_STEPS = (1.0, 2.0, 5.0, 10.0)
GRID = 140
"""Points of a density's outline."""


@dataclass(frozen=True)
class Tick:
    """A mark of an axis.

    Attributes:
        place: in percent of the axis.
        value: that stands there.
    """

    place: float
    value: float


@dataclass(frozen=True)
class Scale:
    """A linear axis from `low` to `high`."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Percent of the axis from its left end; values beyond an end stand at it."""
        if not self.high > self.low:
            return 50.0
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 3)

    def ticks(self, about: int = 5) -> tuple[Tick, ...]:
        """Marks at round values, as many as `about` or a few less."""
        if not self.high > self.low:
            return ()
        step = round_step((self.high - self.low) / about)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        values = [round(number * step, 12) for number in range(first, last + 1)]
        return tuple(Tick(self.place(value), value) for value in values)


def round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in _STEPS if step * power >= least * (1 - 1e-9))


def spanning(values: Sequence[float], *, margin: float = 0.06) -> Scale:
    """A scale on which all values stand with some room at both ends."""
    low, high = min(values), max(values)
    room = (high - low) * margin or abs(high) * 0.05 or 1.0
    return Scale(low - room, high + room)


def density(values: Sequence[float], scale: Scale) -> tuple[float, ...] | None:
    """Gaussian kernel density at `GRID` points of a scale; None of fewer than three values.

    Scott's rule for the bandwidth (D. W. Scott, 'Multivariate Density Estimation', 2nd ed., 2015),
    as scipy has it. Values that are all equal have no density.
    """
    if len(values) < 3 or max(values) - min(values) < 1e-9 * (abs(max(values)) + 1e-9):
        return None
    known = stats.gaussian_kde(values)
    found = known(np.linspace(scale.low, scale.high, GRID))
    return tuple(float(each) for each in found)


def outline(heights: Sequence[float], peak: float) -> str:
    """Path of an area over the whole width of a box of 100 x 100, `peak` at its top."""
    step = 100 / (len(heights) - 1)
    points = [
        f"{place * step:.2f},{100 - 96 * height / peak:.2f}" for place, height in enumerate(heights)
    ]
    return f"M0,100 L{' L'.join(points)} L100,100 Z"
