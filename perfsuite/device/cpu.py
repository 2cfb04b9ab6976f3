"""The CPU: wall-clock time, and the resident set of the process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

from perfsuite.device.protocol import Result
from perfsuite.results.samples import PeakMemory

_SOURCE = "resident set above what was resident before"


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

    def free_memory(self) -> None:
        """A CPU's memory is the computer's: nobody asks."""

    def reset_peak_memory(self) -> None:
        """Reset the high-water mark of the resident set, where the kernel allows it."""
        try:
            self._clear_refs.write_text("5")
            self._peak_was_reset = True
        except OSError:
            self._peak_was_reset = False

    def held_memory(self) -> int | None:
        """The resident set (VmRSS of Linux's /proc)."""
        return self._read("VmRSS")

    def peak_memory(self, held_bytes: int | None = None) -> PeakMemory:
        """High-water mark of the resident set (VmHWM of Linux's /proc), above what was held."""
        if held_bytes is None:
            return PeakMemory(None, _SOURCE, "what was resident before the tier is not known")
        if not getattr(self, "_peak_was_reset", False):
            reason = f"{platform.system()} does not let this process reset its peak resident set"
            return PeakMemory(None, _SOURCE, reason)
        peak = self._read("VmHWM")
        if peak is None:
            return PeakMemory(None, _SOURCE, "the kernel reports no VmHWM")
        return PeakMemory(max(0, peak - held_bytes), _SOURCE, held_bytes=held_bytes)

    def release_memory(self) -> None:
        """Have the C library give back what it keeps for later, where it can (glibc)."""
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)

    def _read(self, name: str) -> int | None:
        """A number of /proc/self/status in bytes; None where there is none."""
        try:
            lines = self._status.read_text().splitlines()
        except OSError:
            return None
        found = (line for line in lines if line.startswith(f"{name}:"))
        return next((int(line.split()[1]) * 1024 for line in found), None)


def usable_cores() -> tuple[int, ...]:
    """CPU cores that this process may run on; it can be allowed fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))
