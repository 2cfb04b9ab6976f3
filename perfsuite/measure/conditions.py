"""What else went on on the machine while samples were taken.

Everything is read before, between and after samples, never inside one: reading the driver of an
accelerator during a sample slows the sample.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import psutil

from perfsuite.cgroup import CpuGroups, cpu_groups
from perfsuite.device import Device, usable_cores
from perfsuite.device.nvidia import NvidiaDriver, open_driver
from perfsuite.results.machine import Conditions, DeviceReading, NotKnown

Number = TypeVar("Number", int, float)

# NVML's bits of 'clocks event reasons' that mean that the device ran slower than it could. Its
# normal power cap (0x04) is left out: a data-centre GPU works at it all day.
_THROTTLING = {
    0x08: "hardware slowdown",
    0x20: "thermal slowdown (software)",
    0x40: "thermal slowdown (hardware)",
    0x80: "power brake",
}


_SPOILT = 0.01
"""Share of a sample's time for which a slowed device spoils it: a fifth of the tolerance."""


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


class AcceleratorWatch:
    """An accelerator, and the host that launches its work.

    Args:
        host: watches the CPU.
        driver: of the accelerator, or why it cannot be asked.
    """

    def __init__(self, host: Watch, driver: NvidiaDriver | NotKnown) -> None:
        self._host, self._driver = host, driver
        self._readings: list[DeviceReading] = []

    def start(self) -> None:
        """Forget what was seen."""
        self._readings = []
        self._host.start()

    def between_samples(self) -> None:
        """Read the device's sensors and counters."""
        if isinstance(self._driver, NvidiaDriver):
            self._readings.append(self._driver.read())

    def finish(self) -> Conditions:
        """What the host tells, the readings, and which samples were spoilt."""
        host = self._host.finish()
        if isinstance(self._driver, NotKnown):
            return replace(host, not_known=(self._driver,))
        self.between_samples()  # also tells of what went on during the last sample
        seen = self._readings
        causes = [_throttled_between(*pair) for pair in itertools.pairwise(seen)]
        clocks = _known(each.clock_mhz for each in seen)
        return replace(
            host,
            throttled=tuple(dict.fromkeys(cause for each in causes for cause in each)),
            throttled_samples=tuple(number for number, each in enumerate(causes) if each),
            others_on_device=max(_known(each.others for each in seen), default=None),
            clock_mhz=(min(clocks), max(clocks)) if clocks else None,
            temperature_c=max(_known(each.temperature_c for each in seen), default=None),
            power_w=max(_known(each.power_w for each in seen), default=None),
            readings=tuple(seen[:-1]),
            not_known=self._driver.unanswered,
        )


def _known(values: Iterable[Number | None]) -> list[Number]:
    return [each for each in values if each is not None]


def _throttled_between(before: DeviceReading, after: DeviceReading) -> tuple[str, ...]:
    """What slowed the device between two readings, by its counters where it has them.

    Without them only the bits at the end tell, of a moment when the device was idle already.
    """
    if before.violations is None or after.violations is None:
        bits = after.throttling or 0
        return tuple(why for bit, why in _THROTTLING.items() if bits & bit)
    earlier = {each.cause: each.total_ns for each in before.violations}
    between_s = (after.at_s or 0.0) - (before.at_s or 0.0)
    return tuple(
        each.cause
        for each in after.violations
        if (each.total_ns - earlier.get(each.cause, each.total_ns)) / 1e9 > _SPOILT * between_s
    )


def watch_for(device: Device) -> Watch:
    """The watch for a device; what its driver does not tell is kept as not known."""
    if not device.is_accelerator:
        return CpuWatch()
    if device.name == "cuda":
        return AcceleratorWatch(CpuWatch(), open_driver())
    unread = NotKnown("clocks, throttling and load of the device", "only NVIDIA's driver is read")
    return AcceleratorWatch(CpuWatch(), unread)
