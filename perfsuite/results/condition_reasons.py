"""Why samples say nothing of the code; see `perfsuite.results.reasons`."""

from __future__ import annotations

from perfsuite.results.picture_reasons import CodedReason


class CompiledWhileSampling(CodedReason, frozen=True):
    """Graphs were compiled while samples were taken.

    Attributes:
        graphs: how many.
        arm: whose, in a gate; empty in a session.
    """

    graphs: int
    arm: str = ""


class RecordedWhileSampling(CodedReason, frozen=True):
    """Device graphs were recorded while samples were taken.

    Attributes:
        graphs: how many.
    """

    graphs: int


class Throttled(CodedReason, frozen=True):
    """The device ran slower than it can.

    Attributes:
        causes: that its driver named.
    """

    causes: tuple[str, ...]


class SamplesDropped(CodedReason, frozen=True):
    """Samples were left out: the device was throttled meanwhile.

    Attributes:
        dropped: how many.
        taken: of how many.
        causes: of the slowdown.
    """

    dropped: int
    taken: int
    causes: tuple[str, ...]


class DeviceShared(CodedReason, frozen=True):
    """Other processes computed on the device.

    Attributes:
        processes: how many.
    """

    processes: int


class Swapping(CodedReason, frozen=True):
    """The machine moved memory to or from its swap."""


class Stolen(CodedReason, frozen=True):
    """The hypervisor gave time of this machine to others.

    Attributes:
        share: of the machine's time.
    """

    share: float


class BusyElsewhere(CodedReason, frozen=True):
    """Other processes kept cores busy.

    Attributes:
        busy: cores, on average.
        cores: that this process may use.
    """

    busy: float
    cores: int


class QuotaThrottled(CodedReason, frozen=True):
    """The container's CPU quota stopped this process while it was measured.

    Attributes:
        throttled_s: seconds that it was stopped.
        quota: cores that the quota allows; None if it is not known.
    """

    throttled_s: float
    quota: float | None = None
