"""Whether samples taken under given conditions may be judged at all."""

from __future__ import annotations

from perfsuite.results.machine import Conditions

_SWAPPED_BYTES = 1 << 20
_STOLEN = 0.05
_BUSY = 0.9
"""Others may use this part of the cores that measuring leaves free, or a tenth of all."""
_HELD_BACK = 0.01
"""Share of the time that a CPU quota may hold the process back: a fifth of the default tolerance,
so that it alone makes no regression and hides none."""


def invalid_reason(conditions: Conditions, *, cores: int | None, threads: int) -> str | None:
    """Why samples taken under these conditions say nothing of the code; None if they may.

    Args:
        conditions: what else went on.
        cores: CPU cores that the measured process may use; None if it was an accelerator's work.
        threads: CPU threads that it computed with.
    """
    if conditions.throttled:
        return f"the device was throttled: {', '.join(conditions.throttled)}"
    if conditions.others_on_device:
        return f"{conditions.others_on_device} other processes used the device"
    if (conditions.swapped_bytes or 0) > _SWAPPED_BYTES:
        return "the machine was swapping: free memory, or measure a smaller checkpoint"
    if (conditions.stolen or 0.0) > _STOLEN:
        return f"the hypervisor gave {conditions.stolen:.0%} of this machine's time to others"
    held_back = (conditions.throttled_s or 0.0) / (conditions.watched_s or 1.0)
    if held_back > _HELD_BACK:
        quota = f" of {conditions.cpu_quota:g} cores" if conditions.cpu_quota else ""
        return f"a CPU quota{quota} held the process back for {held_back:.0%} of the time: raise it"
    busy = conditions.busy_elsewhere or 0.0
    if cores is not None and busy > max(_BUSY * (cores - threads), (1 - _BUSY) * cores):
        return f"other processes kept {busy:.1f} of {cores} cores busy: measure when it is quiet"
    return None
