"""Whether samples taken under given conditions may be judged at all."""

from __future__ import annotations

from perfsuite.results.condition_reasons import (
    BusyElsewhere,
    DeviceShared,
    QuotaThrottled,
    Stolen,
    Swapping,
    Throttled,
)
from perfsuite.results.machine import Conditions
from perfsuite.results.reasons import Reason

_SWAPPED_BYTES = 1 << 20
_STOLEN = 0.05
_BUSY = 0.9
"""Others may use this part of the cores that measuring leaves free, or a tenth of all."""
_HELD_BACK = 0.01
"""Share of the time that a CPU quota may hold the process back: a fifth of the default tolerance,
so that it alone makes no regression and hides none."""


def invalid_reason(conditions: Conditions, *, cores: int | None, threads: int) -> Reason | None:
    """Why samples taken under these conditions say nothing of the code; None if they may.

    Args:
        conditions: what else went on.
        cores: CPU cores that the measured process may use; None if that is not known.
        threads: CPU threads that it kept busy.
    """
    if conditions.throttled and _mostly_throttled(conditions):
        return Throttled(conditions.throttled)
    if conditions.others_on_device:
        return DeviceShared(conditions.others_on_device)
    if (conditions.swapped_bytes or 0) > _SWAPPED_BYTES:
        return Swapping()
    if conditions.stolen is not None and conditions.stolen > _STOLEN:
        return Stolen(conditions.stolen)
    throttled_s = conditions.throttled_s or 0.0
    if throttled_s / (conditions.watched_s or 1.0) > _HELD_BACK:
        return QuotaThrottled(throttled_s, conditions.cpu_quota)
    busy = conditions.busy_elsewhere or 0.0
    if cores is not None and busy > max(_BUSY * (cores - threads), (1 - _BUSY) * cores):
        return BusyElsewhere(busy, cores)
    return None


def _mostly_throttled(conditions: Conditions) -> bool:
    """Whether more samples are spoilt than not; older records do not tell which are."""
    spoilt = conditions.throttled_samples
    return spoilt is None or len(spoilt) > len(conditions.readings) / 2
