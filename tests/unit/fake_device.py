"""A device for tests of the logic above it: its clock is wound by the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from perfsuite.device import Result
from perfsuite.results.samples import PeakMemory


@dataclass
class FakeDevice:
    """A device for tests: `timed` takes its seconds from a script instead of a clock.

    Attributes:
        durations_s: seconds that the next calls of `timed` will say that they took; the last one
            is repeated for ever.
        peak_bytes: the peak to report.
        free_bytes: the free memory to report.
        events: names of the methods called, in order.
    """

    durations_s: list[float] = field(default_factory=lambda: [1.0])
    peak_bytes: int | None = 1 << 30
    name: str = "cpu"
    is_accelerator: bool = False
    free_bytes: int | None = None
    events: list[str] = field(default_factory=list)

    def timed(self, work: Callable[[], Result]) -> tuple[float, Result]:
        """Run `work` and say that it took the next scripted time."""
        self.events.append("timed")
        result = work()
        duration_s = self.durations_s[0]
        if len(self.durations_s) > 1:
            self.durations_s.pop(0)
        return duration_s, result

    def record_graph(self, work: Callable[[], object]) -> None:
        """Only noted: the fake has no graphs."""
        self.events.append("record_graph")

    def synchronize(self) -> None:
        """Only noted."""
        self.events.append("synchronize")

    def free_memory(self) -> int | None:
        """The scripted number."""
        return self.free_bytes

    def reset_peak_memory(self) -> None:
        """Only noted."""
        self.events.append("reset_peak_memory")

    def held_memory(self) -> int | None:
        """Nothing is held."""
        return 0

    def peak_memory(self, held_bytes: int | None = None) -> PeakMemory:
        """The scripted peak."""
        self.events.append("peak_memory")
        reason = None if self.peak_bytes is not None else "the fake has none"
        return PeakMemory(self.peak_bytes, "fake", reason)

    def release_memory(self) -> None:
        """Only noted."""
        self.events.append("release_memory")
