"""Two runs of the history side by side: what differs, and how sure that is. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping

from perfsuite.judge.comparison import Comparison
from perfsuite.results.history import Entry, Reading, SeriesKey, Unit
from perfsuite.results.policy import Assumption
from perfsuite.results.two_runs import Noise, PairedReading

_BOTH_ENDS = 0.025


def pair_readings(
    before: Entry, after: Entry, noise: Mapping[str, Noise]
) -> tuple[PairedReading, ...]:
    """Values of the same quantity of the same tier; only like is compared with like.

    Args:
        before: one run.
        after: the other.
        noise: between runs of the same code, by the digest of the series; assumed for seconds that
            are not in it.
    """
    old = {_name(reading.key): reading for reading in before.readings}
    new = {_name(reading.key): reading for reading in after.readings}
    return tuple(
        _paired(old.get(name), new.get(name), noise) for name in dict.fromkeys([*old, *new])
    )


def _name(key: SeriesKey) -> tuple[str, str]:
    return key.label, key.quantity.name


def _paired(old: Reading | None, new: Reading | None, noise: Mapping[str, Noise]) -> PairedReading:
    key = (old or new).key  # type: ignore[union-attr]
    pair = PairedReading(key, old.value if old else None, new.value if new else None)
    if old is None or new is None:
        return pair
    differences = old.key.differences(new.key)
    if differences or old.key.digest != new.key.digest:
        return PairedReading(key, old.value, new.value, differences=differences, is_like=False)
    change, interval = _change(old, new, noise.get(key.digest))
    return PairedReading(key, old.value, new.value, change, interval)


def _change(
    old: Reading, new: Reading, noise: Noise | None
) -> tuple[float | None, tuple[float, float] | None]:
    """Relative change with a prediction interval: of two runs, each has the noise of one."""
    values = (old.value, new.value)
    if old.normalised and new.normalised and not (noise and noise.is_raw):
        values = (old.normalised, new.normalised)
    if min(values) <= 0:
        return None, None
    estimate = math.log(values[1] / values[0])
    if noise is None:
        if new.key.quantity.unit is not Unit.SECONDS:
            return math.expm1(estimate), None
        assumed = Assumption()
        noise = Noise(assumed.spread, float(assumed.weight), is_raw=False)
    error = noise.deviation * math.sqrt(2)
    low, high = Comparison(estimate, error, noise.degrees_of_freedom).interval(_BOTH_ENDS)
    return math.expm1(estimate), (math.expm1(low), math.expm1(high))
