"""What a profile of one image shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HeavyOperator:
    """An operator or kernel by the time that it takes itself, without what it calls.

    Attributes:
        name: torch's.
        calls: in one image.
        self_s: seconds, of the CPU, or of the accelerator where there is one; the profiler's own
            cost is in them.
        share: of all operators' seconds.
    """

    name: str
    calls: int
    self_s: float
    share: float


@dataclass(frozen=True)
class TierProfile:
    """A tier's profile.

    Attributes:
        trace: path of the chrome trace.
        heaviest: the ten heaviest operators, heaviest first.
    """

    trace: str
    heaviest: tuple[HeavyOperator, ...]
