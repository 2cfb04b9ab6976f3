"""What machine this is, what is installed on it, and the key that names its hardware."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import cpuinfo
import torch

from perfsuite.cgroup import cpu_groups
from perfsuite.device import Device, usable_cores
from perfsuite.device.hardware import accelerator_hardware, device_properties
from perfsuite.device.nvidia import NvidiaDriver, open_driver
from perfsuite.results.machine import Environment, Hardware

HOST_VARIABLE = "PERFSUITE_HOST"
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


def describe_hardware(device: Device, label: str | None) -> Hardware:
    """Look at the device that will be measured."""
    if device.is_accelerator:
        return accelerator_hardware(device.name, label)
    return cpu_hardware(label)


def cpu_hardware(label: str | None = None) -> Hardware:
    """Look at the CPU."""
    info = cpuinfo.get_cpu_info()
    flags = set(info.get("flags", ()))
    matrix = [feature for feature in _MATRIX_FEATURES if feature in flags]
    features = (torch.backends.cpu.get_cpu_capability(), *matrix)
    model = str(info.get("brand_raw") or platform.processor() or platform.machine())
    # Virtual machines often hide the exact brand; family and model number do not lie.
    if "family" in info and "model" in info:
        model += f" f{info['family']}m{info['model']}"
    cores = len(usable_cores())
    return Hardware("cpu", model, cores, features=features, label=label, cpu_quota=_quota(cores))


def _quota(cores: int) -> float | None:
    """Cores that a container's quota leaves; None where it leaves all of them."""
    quota = cpu_groups().quota
    return round(quota, 2) if quota is not None and quota < cores else None


def host_name() -> str:
    """Name of this machine: `$PERFSUITE_HOST` where containers change theirs with every run."""
    return os.environ.get(HOST_VARIABLE, "").strip() or platform.node() or "unknown"


def installed_packages() -> dict[str, str]:
    """Versions of the packages that can change a measurement."""
    versions: dict[str, str] = {}
    for name in PACKAGES:
        for version in installed_versions(name).values():
            versions.setdefault(name, version)
    return versions


def installed_versions(name: str | None = None) -> dict[str, str]:
    """Versions of all distributions, or of those of one name; of two, what an import finds first.

    What an interrupted installation has left has no metadata, or none of these fields in it.
    """
    versions: dict[str, str] = {}
    for distribution in metadata.distributions(name=name):
        about = distribution.metadata
        if about and "Name" in about and "Version" in about:
            versions.setdefault(about["Name"], about["Version"])
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
        host=cpu_hardware() if device.is_accelerator else None,
        driver=_driver_version(device),
    )


def _driver_version(device: Device) -> str | None:
    """Of an accelerator's driver; None where it does not say."""
    if not device.is_accelerator:
        return None
    driver = open_driver() if device.name == "cuda" else None
    if isinstance(driver, NvidiaDriver):
        return driver.version()
    properties = device_properties(device.name)
    version = getattr(properties, "driver_version", None)
    return None if version is None else str(version)
