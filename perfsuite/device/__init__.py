"""Where a pipeline runs: clock, synchronisation and peak memory of a CPU or an accelerator."""

from __future__ import annotations

import torch

from perfsuite.device.accelerator import AcceleratorDevice
from perfsuite.device.cpu import CpuDevice, usable_cores
from perfsuite.device.protocol import Device, Result
from perfsuite.errors import DeviceError

__all__ = [
    "AcceleratorDevice",
    "CpuDevice",
    "Device",
    "Result",
    "find_device",
    "usable_cores",
]


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
