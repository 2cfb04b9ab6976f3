"""What machine this is, what is installed on it, and the key that names its hardware."""

from __future__ import annotations

import datetime
import platform
import re
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import cpuinfo
import torch

from perfsuite.device import Device, nvidia_uuid, usable_cores

PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "torchao",
    "triton",
    "numpy",
    "pytest",
    "pytest-benchmark",
    "scikit-image",
    "perfsuite",
)

# CPU features that choose other kernels in torch; the plain vector width is torch's own word.
_MATRIX_FEATURES = ("avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "bf16", "i8mm", "sve")


@dataclass(frozen=True)
class Hardware:
    """What decides how fast a pipeline can be on this machine.

    Attributes:
        kind: `cpu` or the accelerator's torch name.
        model: marketing name of the CPU or accelerator.
        cores: CPU cores that this process may use; None on an accelerator.
        memory_gib: the accelerator's memory, rounded; None on a CPU.
        power_limit_w: the accelerator's power limit in watts, where it can be read.
        features: vector and matrix extensions of the CPU, or the compute capability.
        label: free label of the machine pool.
    """

    kind: str
    model: str
    cores: int | None = None
    memory_gib: int | None = None
    power_limit_w: int | None = None
    features: tuple[str, ...] = ()
    label: str | None = None

    @property
    def key(self) -> str:
        """Folder name of this hardware's baselines; letters, digits and dashes."""
        sizes = (
            f"{self.cores}c" if self.cores else None,
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
    """

    hardware: Hardware
    packages: dict[str, str]
    python: str
    system: str
    git_revision: str | None
    threads: int
    recorded_at: str


def describe_hardware(device: Device, label: str | None) -> Hardware:
    """Look at the device that will be measured."""
    if device.is_accelerator:
        return _accelerator_hardware(device.name, label)
    info = cpuinfo.get_cpu_info()
    flags = set(info.get("flags", ()))
    matrix = [feature for feature in _MATRIX_FEATURES if feature in flags]
    features = (torch.backends.cpu.get_cpu_capability(), *matrix)
    model = str(info.get("brand_raw") or platform.processor() or platform.machine())
    # Virtual machines often hide the exact brand; family and model number do not lie.
    if "family" in info and "model" in info:
        model += f" f{info['family']}m{info['model']}"
    return Hardware("cpu", model, cores=len(usable_cores()), features=features, label=label)


def _accelerator_hardware(kind: str, label: str | None) -> Hardware:
    if kind != "cuda":
        return Hardware(kind, kind, label=label)
    properties = torch.cuda.get_device_properties(0)
    return Hardware(
        kind,
        properties.name,
        memory_gib=round(properties.total_memory / 2**30),
        power_limit_w=_power_limit_w(),
        features=(f"sm{properties.major}{properties.minor}",),
        label=label,
    )


def _power_limit_w() -> int | None:
    """Watts, read from NVML; None where NVML is not there or does not say."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(nvidia_uuid())
        milliwatts: int = pynvml.nvmlDeviceGetPowerManagementLimit(handle)
        return round(milliwatts / 1000)
    except pynvml.NVMLError:
        return None


def installed_packages() -> dict[str, str]:
    """Versions of the packages that can change a measurement."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_revision(folder: Path) -> str | None:
    """Short commit of `folder`'s checkout, with `+` if tracked files have changed."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def describe_environment(device: Device, label: str | None, folder: Path) -> Environment:
    """Everything that a reader of a run record may want to know about where it was made."""
    return Environment(
        hardware=describe_hardware(device, label),
        packages=installed_packages(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        git_revision=git_revision(folder),
        threads=torch.get_num_threads(),
        recorded_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )
