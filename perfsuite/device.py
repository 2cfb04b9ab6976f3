"""Where a pipeline runs: clock, synchronisation and peak memory of a CPU or an accelerator."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from perfsuite.errors import DeviceError
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

    def synchronize(self) -> None:
        """Wait until the device has nothing left to do."""

    def reset_peak_memory(self) -> None:
        """Start a new peak."""

    def peak_memory(self) -> PeakMemory:
        """The peak since the last reset."""

    def release_memory(self) -> None:
        """Give cached memory back to the device."""


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


class AcceleratorDevice:
    """An accelerator behind `torch.accelerator`: device events and the device's own allocator."""

    is_accelerator = True

    def __init__(self, name: str) -> None:
        self.name = name

    def timed(self, work: Callable[[], Result]) -> tuple[float, Result]:
        """Seconds between two device events, with one synchronisation at the end."""
        start = torch.Event(self.name, enable_timing=True)
        end = torch.Event(self.name, enable_timing=True)
        self.synchronize()
        start.record()
        result = work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000.0, result

    def synchronize(self) -> None:
        """Wait for every stream of the device."""
        torch.accelerator.synchronize()

    def reset_peak_memory(self) -> None:
        """Reset the allocator's peak."""
        torch.accelerator.reset_peak_memory_stats()

    def peak_memory(self) -> PeakMemory:
        """Peak of memory in use by tensors."""
        return PeakMemory(int(torch.accelerator.max_memory_allocated()), "device allocator")

    def release_memory(self) -> None:
        """Empty the allocator's cache."""
        torch.accelerator.empty_cache()


def usable_cores() -> tuple[int, ...]:
    """CPU cores that this process may run on; it can be allowed fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def nvidia_uuid() -> str:
    """NVML's name of torch's CUDA device 0, whatever CUDA_VISIBLE_DEVICES says."""
    return f"GPU-{torch.cuda.get_device_properties(0).uuid}"


def find_device(wish: str) -> Device:
    """The device for `auto` (an accelerator if there is one), `cpu`, or a named accelerator.

    Raises:
        DeviceError: the named accelerator is not on this machine.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    present = accelerator.type if accelerator is not None else None
    if wish == "cpu" or (wish == "auto" and present is None):
        return CpuDevice()
    if present is None or wish not in ("auto", present):
        raise DeviceError(
            f"this machine has no '{wish}' device that torch {torch.__version__} can use",
            hint="pass --perf-device cpu, or install a torch build for the accelerator",
        )
    return AcceleratorDevice(present)
