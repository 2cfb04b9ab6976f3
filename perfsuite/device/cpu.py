"""The CPU: wall-clock time, and the resident set of the process."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

from perfsuite.device.protocol import Result
from perfsuite.results.samples import PeakMemory


class CpuDevice:
    """The CPU: `time.perf_counter`, and the process's resident set (Linux)."""

    name = "cpu"
    is_accelerator = False
    _status = Path("/proc/self/status")
    _clear_refs = Path("/proc/self/clear_refs")

    def timed(self, work: Callable[[], Result]) -> tuple[float, Result]:
        """Seconds of wall-clock time."""
        start = time.perf_counter()
        result = work()
        return time.perf_counter() - start, result

    def record_graph(self, work: Callable[[], object]) -> None:
        """A CPU has no graphs to replay."""

    def synchronize(self) -> None:
        """Nothing to wait for: CPU work is done when its call returns."""

    def reset_peak_memory(self) -> None:
        """Reset the high-water mark of the resident set, where the kernel allows it."""
        try:
            self._clear_refs.write_text("5")
            self._peak_was_reset = True
        except OSError:
            self._peak_was_reset = False

    def peak_memory(self) -> PeakMemory:
        """High-water mark of the resident set (VmHWM of Linux's /proc)."""
        source = "resident set"
        if not getattr(self, "_peak_was_reset", False):
            reason = f"{platform.system()} does not let this process reset its peak resident set"
            return PeakMemory(None, source, reason)
        for line in self._status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return PeakMemory(int(line.split()[1]) * 1024, source)
        return PeakMemory(None, source, "the kernel reports no VmHWM")

    def release_memory(self) -> None:
        """The allocator of the CPU keeps no cache that could be given back."""


def usable_cores() -> tuple[int, ...]:
    """CPU cores that this process may run on; it can be allowed fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))
