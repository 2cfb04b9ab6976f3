"""What measuring needs to know of a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from perfsuite.results.samples import PeakMemory

Result = TypeVar("Result")


class Device(Protocol):
    """What measuring needs to know of a device."""

    @property
    def name(self) -> str:
        """`cpu`, `cuda`, `xpu`, …, as torch spells it."""

    @property
    def is_accelerator(self) -> bool:
        """Whether work runs away from the CPU, in its own time."""

    def timed(self, work: Callable[[], Result]) -> tuple[float, Result]:
        """Run `work` to its end on the device.

        Returns:
            Seconds from start to end, and what `work` returned.
        """

    def record_graph(self, work: Callable[[], object]) -> Callable[[], object] | None:
        """Record work that is the same every time in a device graph.

        Returns:
            What replays it without launching its operators one by one; None where the device has no
            such graphs.
        """

    def synchronize(self) -> None:
        """Wait until the device has nothing left to do."""

    def held_memory(self) -> int | None:
        """Bytes that this process holds now; None where that is not known."""

    def free_memory(self) -> int | None:
        """Bytes of an accelerator's memory that nobody holds; None on a CPU, and where not told."""

    def reset_peak_memory(self) -> None:
        """Start a new peak."""

    def peak_memory(self, held_bytes: int | None = None) -> PeakMemory:
        """The peak since the last reset.

        Args:
            held_bytes: `held_memory` of what is not to be counted; None where that is not known.
        """

    def release_memory(self) -> None:
        """Give memory that nothing uses back to the device, or to the operating system."""
