"""Where something was measured, and what else went on there meanwhile."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Hardware:
    """What decides how fast a pipeline can be on this machine.

    Attributes:
        kind: `cpu` or the accelerator's torch name.
        model: marketing name of the CPU or accelerator.
        cores: CPU cores that this process may use; None on an accelerator.
        memory_gib: the accelerator's nominal memory; None on a CPU.
        power_limit_w: the accelerator's power limit in watts, where it can be read.
        features: vector and matrix extensions of the CPU, or the compute capability.
        label: free label of the machine pool.
        cpu_quota: cores that a container's quota leaves, where that is less than `cores`.
    """

    kind: str
    model: str
    cores: int | None = None
    memory_gib: int | None = None
    power_limit_w: int | None = None
    features: tuple[str, ...] = ()
    label: str | None = None
    cpu_quota: float | None = None

    @property
    def images_key(self) -> str:
        """The same for what images depend on: a power limit changes no pixel."""
        return replace(self, power_limit_w=None).key

    @property
    def key(self) -> str:
        """Folder name of this hardware's baselines; letters, digits and dashes."""
        sizes = (
            f"{self.cores}c" if self.cores else None,
            f"quota{self.cpu_quota:g}" if self.cpu_quota else None,
            f"{self.memory_gib}gib" if self.memory_gib else None,
            f"{self.power_limit_w}w" if self.power_limit_w else None,
        )
        parts = [self.kind, self.model, *(size for size in sizes if size), *self.features]
        slug = re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")
        return f"{slug}--{self.label}" if self.label else slug


@dataclass(frozen=True)
class Environment:
    """Provenance of a measurement.

    Attributes:
        hardware: the machine.
        packages: version of every package that matters; absent ones are left out.
        python: version of the interpreter.
        system: operating system and kernel.
        git_revision: commit of the working directory, `+` appended if it has changes; None
            outside a checkout.
        threads: CPU threads that torch uses within one operator.
        recorded_at: UTC, ISO 8601.
        host: the CPU beside an accelerator, which launches its work; None on a CPU and in records
            that are older than it.
        driver: version of the accelerator's driver; None where it is not known.
    """

    hardware: Hardware
    packages: dict[str, str]
    python: str
    system: str
    git_revision: str | None
    threads: int
    recorded_at: str
    host: Hardware | None = None
    driver: str | None = None

    @property
    def cores(self) -> int | None:
        """CPU cores that the measuring process may use; None where that is not known."""
        return (self.host or self.hardware).cores

    @property
    def busy_threads(self) -> int:
        """CPU threads that it keeps busy: one beside an accelerator, which it launches from."""
        return self.threads if self.hardware.kind == "cpu" else 1


@dataclass(frozen=True)
class NotKnown:
    """Something that a machine does not tell.

    Attributes:
        what: was asked.
        reason: why there is no answer.
    """

    what: str
    reason: str


@dataclass(frozen=True)
class ViolationTime:
    """How long a device has been slowed down, by the counter of its driver.

    Attributes:
        cause: of the slowdown.
        total_ns: nanoseconds since the driver was loaded.
    """

    cause: str
    total_ns: int


@dataclass(frozen=True)
class DeviceReading:
    """What an accelerator's driver said right before one sample and its probe; None: not known.

    Attributes:
        clock_mhz: clock of its processors.
        temperature_c: in degrees Celsius.
        power_w: power draw in watts.
        throttling: the driver's bits of reasons for a slower clock.
        others: other processes that computed on it.
        violations: how long it has been slowed down until then.
        at_s: seconds on a clock that only goes forward.
    """

    clock_mhz: int | None
    temperature_c: int | None
    power_w: float | None
    throttling: int | None
    others: int | None
    violations: tuple[ViolationTime, ...] | None = None
    at_s: float | None = None


@dataclass(frozen=True)
class Conditions:
    """Circumstances of a tier's samples; None where the machine does not say.

    Attributes:
        busy_elsewhere: cores that other processes kept busy, on average.
        stolen: fraction of the machine's time that its hypervisor gave to others.
        swapped_bytes: read from and written to swap.
        load_average: runnable processes, average of the last minute.
        throttled: reasons for which the accelerator slowed down.
        throttled_samples: numbers of the samples, from 0, while which it did; None in records that
            are older than it, and on a CPU.
        others_on_device: processes that shared the accelerator.
        clock_mhz: lowest and highest clock of the accelerator seen between samples.
        temperature_c: highest temperature of the accelerator.
        power_w: highest power draw of the accelerator.
        readings: of the accelerator, one for each sample; empty on a CPU.
        cpu_quota: cores that a container's quota leaves to this process.
        throttled_s: seconds that the quota made it stand still, added up over cores.
        watched_s: seconds for which all this was watched.
        not_known: what the machine did not tell.
    """

    busy_elsewhere: float | None = None
    stolen: float | None = None
    swapped_bytes: int | None = None
    load_average: float | None = None
    throttled: tuple[str, ...] = ()
    others_on_device: int | None = None
    clock_mhz: tuple[int, int] | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    readings: tuple[DeviceReading, ...] = ()
    cpu_quota: float | None = None
    throttled_s: float | None = None
    watched_s: float | None = None
    throttled_samples: tuple[int, ...] | None = None
    not_known: tuple[NotKnown, ...] = ()

    def unspoilt(self, values: Sequence[float]) -> tuple[float, ...]:
        """Of one value for each sample, those of samples while which nothing was throttled."""
        spoilt = frozenset(self.throttled_samples or ())
        return tuple(each for number, each in enumerate(values) if number not in spoilt)
