"""What an accelerator is called, and how large it is by its maker's word."""

from __future__ import annotations

import re
from typing import Any

import cpuinfo
import torch

from perfsuite.device.nvidia import NvidiaDriver, open_driver
from perfsuite.results.machine import Hardware

# Sizes that accelerators are sold with, in GiB.
_SIZES = (
    *(4, 5, 6, 8, 10, 11, 12, 16, 18, 20, 24, 32, 36, 40, 48, 64, 71, 80, 94, 96),
    *(128, 141, 144, 180, 192, 256, 288),
)
_WITHHELD = 0.14
"""The largest part that a driver keeps for itself: a card of 24 GB can tell of 21.95 GiB."""


def nominal_gib(name: str, total_bytes: int) -> int:
    """An accelerator's memory as it is sold, whatever its driver leaves of it.

    Args:
        name: as the driver spells it; `A100-SXM4-40GB` and `MIG 1g.5gb` tell it themselves.
        total_bytes: that the driver tells of.
    """
    told = re.findall(r"(\d+)\s?gb\b", name, re.IGNORECASE)
    if told:
        return int(told[-1])
    gib = total_bytes / 2**30
    fitting = (size for size in _SIZES if gib <= 1.02 * size and gib >= (1 - _WITHHELD) * size)
    return next(fitting, round(gib))


def device_properties(kind: str) -> Any:
    """What torch tells of device 0 of a kind; None where it tells nothing.

    Args:
        kind: the accelerator's torch name.
    """
    module = getattr(torch, kind, None)
    get = getattr(module, "get_device_properties", None)
    try:
        return None if get is None else get(0)
    except (RuntimeError, AssertionError, NotImplementedError):
        return None


def chip_name() -> str:
    """Of the processor that this runs on."""
    return str(cpuinfo.get_cpu_info().get("brand_raw") or "")


def accelerator_hardware(kind: str, label: str | None) -> Hardware:
    """Look at an accelerator.

    Args:
        kind: its torch name; ROCm's is `cuda` too.
        label: free label of the machine pool.
    """
    properties = device_properties(kind)
    if properties is None:
        # Apple's GPU is a part of its chip, whose name tells one Mac from another.
        model = chip_name() if kind == "mps" else kind
        return Hardware(kind, model, label=label)
    name = str(getattr(properties, "name", kind))
    total_bytes = getattr(properties, "total_memory", None)
    return Hardware(
        kind,
        name,
        memory_gib=None if total_bytes is None else nominal_gib(name, int(total_bytes)),
        power_limit_w=_power_limit_w(kind),
        features=_features(properties),
        label=label,
    )


def _features(properties: Any) -> tuple[str, ...]:
    """The compute capability, or AMD's name of the architecture."""
    architecture = str(getattr(properties, "gcnArchName", "") or "").partition(":")[0]
    if architecture:
        return (architecture,)
    if hasattr(properties, "major"):
        return (f"sm{properties.major}{properties.minor}",)
    return ()


def _power_limit_w(kind: str) -> int | None:
    """Watts, of the whole GPU; None where the driver does not say."""
    driver = open_driver() if kind == "cuda" else None
    return driver.power_limit_w() if isinstance(driver, NvidiaDriver) else None
