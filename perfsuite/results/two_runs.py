"""Two past runs side by side, as values."""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.results.history import Fact, SeriesKey


@dataclass(frozen=True)
class Noise:
    """How much runs of the same code differ.

    Attributes:
        deviation: standard deviation of the logarithm.
        degrees_of_freedom: that it is known from.
        is_raw: whether it is that of the values themselves and not of multiples of the probe.
    """

    deviation: float
    degrees_of_freedom: float
    is_raw: bool


@dataclass(frozen=True)
class PairedReading:
    """One quantity of one tier in two runs; None where a run did not measure it.

    Attributes:
        key: the series of either.
        before: in one run, in the series' unit.
        after: in the other.
        change: of what is compared, as a fraction; None where it may not be compared.
        change_interval: 95 % prediction interval of the change between runs of the same code.
        differences: facts in which they differ.
        is_like: whether like is compared with like.
    """

    key: SeriesKey
    before: float | None
    after: float | None
    change: float | None = None
    change_interval: tuple[float, float] | None = None
    differences: tuple[tuple[Fact, Fact], ...] = ()
    is_like: bool = True
