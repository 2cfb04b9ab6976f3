"""What else went on on the machine while samples were taken.

Everything is read before, between and after samples, never inside one: reading the driver of an
accelerator during a sample slows the sample.
"""

from __future__ import annotations

import functools
import operator
import os
import time
from dataclasses import dataclass
from typing import Any, Protocol

import psutil

from perfsuite.cgroup import CpuGroups, cpu_groups
from perfsuite.device import Device, nvidia_uuid, usable_cores
from perfsuite.results.machine import Conditions, DeviceReading

# NVML's bits of 'clocks event reasons' that mean that the device ran slower than it could. Its
# normal power cap (0x04) is left out: a data-centre GPU works at it all day.
_THROTTLING = {
    0x08: "hardware slowdown",
    0x20: "thermal slowdown (software)",
    0x40: "thermal slowdown (hardware)",
    0x80: "power brake",
}


class Watch(Protocol):
    """Looks at the machine around and between samples."""

    def start(self) -> None:
        """Sampling begins."""

    def between_samples(self) -> None:
        """No sample is being taken."""

    def finish(self) -> Conditions:
        """Sampling has ended."""


@dataclass(frozen=True)
class _Moment:
    wall_s: float
    busy_s: float
    stolen_s: float
    own_s: float
    swapped_bytes: int
    throttled_s: float | None


class FakeWatch:
    """A watch for tests: sees what it was told to.

    Args:
        conditions: what `finish` returns.
    """

    def __init__(self, conditions: Conditions | None = None) -> None:
        self.conditions = conditions or Conditions()
        self.looks = 0

    def start(self) -> None:
        """Nothing to remember."""

    def between_samples(self) -> None:
        """Only counted."""
        self.looks += 1

    def finish(self) -> Conditions:
        """The scripted conditions."""
        return self.conditions


class CpuWatch:
    """CPU time of others, steal time, quota, swap and load, from the kernel's counters.

    Args:
        groups: control groups of this process; None to look them up.
    """

    def __init__(self, groups: CpuGroups | None = None) -> None:
        self._process = psutil.Process()
        self._groups = groups or cpu_groups()
        self._before = self._look()

    def start(self) -> None:
        """Remember the counters."""
        self._before = self._look()

    def between_samples(self) -> None:
        """Nothing to do: the counters add up by themselves."""

    def finish(self) -> Conditions:
        """Differences of the counters since `start`."""
        now, before = self._look(), self._before
        wall_s = max(now.wall_s - before.wall_s, 1e-9)
        others_s = (now.busy_s - before.busy_s) - (now.own_s - before.own_s)
        cores = len(usable_cores())
        throttled_s = None
        if now.throttled_s is not None and before.throttled_s is not None:
            throttled_s = max(0.0, now.throttled_s - before.throttled_s)
        return Conditions(
            busy_elsewhere=max(0.0, others_s / wall_s),
            stolen=max(0.0, (now.stolen_s - before.stolen_s) / (wall_s * cores)),
            swapped_bytes=now.swapped_bytes - before.swapped_bytes,
            load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            cpu_quota=self._groups.quota,
            throttled_s=throttled_s,
            watched_s=wall_s,
        )

    def _look(self) -> _Moment:
        every = psutil.cpu_times(percpu=True)
        usable = [every[core] for core in usable_cores() if core < len(every)]
        stolen_s = sum(getattr(times, "steal", 0.0) for times in usable)
        own = self._process.cpu_times()
        swap = psutil.swap_memory()
        return _Moment(
            wall_s=time.monotonic(),
            busy_s=sum(_busy_s(times) for times in usable),
            stolen_s=stolen_s,
            own_s=own.user + own.system,
            swapped_bytes=swap.sin + swap.sout,
            throttled_s=self._groups.throttled_s,
        )


def _busy_s(times: Any) -> float:
    """Seconds that a core has worked; guests' time is part of user time already."""
    return float(times.user + times.system + times.nice) + sum(
        getattr(times, name, 0.0) for name in ("irq", "softirq")
    )


class NvidiaWatch:
    """Clocks, throttling, temperature, power and other processes of an NVIDIA device.

    Args:
        nvml: the module `pynvml`, or something with its functions.
        uuid: NVML's name of the device.
    """

    def __init__(self, nvml: Any, uuid: str) -> None:
        nvml.nvmlInit()
        self._nvml = nvml
        self._handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        self._readings: list[DeviceReading] = []

    def start(self) -> None:
        """Forget what was seen."""
        self._readings = []

    def between_samples(self) -> None:
        """Read the device's sensors."""
        nvml, handle = self._nvml, self._handle
        running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        reading = DeviceReading(
            clock_mhz=nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            temperature_c=nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
            power_w=nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
            throttling=nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle),
            # In a container this process may be listed under another number, or not at all.
            others=max(0, len(running) - 1),
        )
        self._readings.append(reading)

    def finish(self) -> Conditions:
        """The readings and their extremes."""
        self.between_samples()  # also tells of what went on during the last sample
        seen = self._readings
        reasons = functools.reduce(operator.or_, (each.throttling for each in seen))
        clocks = [each.clock_mhz for each in seen]
        return Conditions(
            throttled=tuple(why for bit, why in _THROTTLING.items() if reasons & bit),
            others_on_device=max(each.others for each in seen),
            clock_mhz=(min(clocks), max(clocks)),
            temperature_c=max(each.temperature_c for each in seen),
            power_w=max(each.power_w for each in seen),
            readings=tuple(seen[:-1]),
        )


def watch_for(device: Device) -> Watch:
    """The watch for a device; an accelerator whose driver says nothing is watched by its host."""
    if device.name == "cuda":
        try:
            import pynvml

            return NvidiaWatch(pynvml, nvidia_uuid())
        except Exception:  # no library, no driver, no permission: NVML has an error for each
            return CpuWatch()
    return CpuWatch()
