"""What NVIDIA's driver says of torch's CUDA device 0, through NVML; every question may stay open.

NVML has an error for everything: a virtual GPU, an instance of a divided one (MIG), WSL2 or a
container may not support a question or not be permitted to ask it. Such an answer is None, and the
reason is kept.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from perfsuite.results.machine import DeviceReading, NotKnown, ViolationTime

Answer = TypeVar("Answer")
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_MPS_SERVER = "nvidia-cuda-mps-server"
# Policies of NVML whose violation says that the device ran slower than it can. That of its normal
# power cap is left out: a data-centre GPU works at it all day. (NVML_PERF_POLICY_…)
_POLICIES = {1: "thermal", 3: "power brake or board limit", 5: "reliability"}


@dataclass
class NvidiaDriver:
    """One device, as its driver sees it.

    Attributes:
        nvml: the module `pynvml`, or something with its functions.
        instance: handle of what torch computes on, an instance of a divided GPU perhaps.
        gpu: handle of the whole GPU; clocks, power and temperature are its.
        is_instance: whether torch computes on an instance of a divided GPU (MIG).
        not_known: by question, why there is no answer.
    """

    nvml: Any
    instance: Any
    gpu: Any
    is_instance: bool = False
    not_known: dict[str, str] = field(default_factory=dict)

    @property
    def unanswered(self) -> tuple[NotKnown, ...]:
        """Questions that stayed open."""
        return tuple(NotKnown(what, why) for what, why in self.not_known.items())

    def ask(self, what: str, question: Callable[[], Answer]) -> Answer | None:
        """The driver's answer; None with its reason if there is none.

        Args:
            what: is asked, for people.
            question: asks.
        """
        try:
            return question()
        except self.nvml.NVMLError as error:
            self.not_known.setdefault(what, str(error).lower())
            return None

    def version(self) -> str | None:
        """Of the driver."""
        return self.ask("driver version", self.nvml.nvmlSystemGetDriverVersion)

    def power_limit_w(self) -> int | None:
        """Watts that the whole GPU may draw."""
        milliwatts = self.ask(
            "power limit", lambda: self.nvml.nvmlDeviceGetPowerManagementLimit(self.gpu)
        )
        return None if milliwatts is None else round(milliwatts / 1000)

    def read(self) -> DeviceReading:
        """Sensors and counters, now."""
        nvml, gpu = self.nvml, self.gpu
        milliwatts = self.ask("power", lambda: nvml.nvmlDeviceGetPowerUsage(gpu))
        return DeviceReading(
            clock_mhz=self.ask(
                "clock", lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM)
            ),
            temperature_c=self.ask(
                "temperature",
                lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
            ),
            power_w=None if milliwatts is None else milliwatts / 1000,
            throttling=self.ask(
                "reasons for slower clocks",
                lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu),
            ),
            others=self._others(),
            violations=self._violations(),
            at_s=time.monotonic(),
        )

    def _violations(self) -> tuple[ViolationTime, ...] | None:
        """Nanoseconds for which each policy has slowed the device; None if none is told."""
        times = []
        for policy, name in _POLICIES.items():
            found = self.ask(
                f"time of {name} slowdown",
                functools.partial(self.nvml.nvmlDeviceGetViolationStatus, self.gpu, policy),
            )
            if found is not None:
                times.append(ViolationTime(name, int(found.violationTime)))
        return tuple(times) or None

    def _others(self) -> int | None:
        """Other processes that compute on what torch computes on.

        MPS's server is nobody else's work; its other clients are. A container may see its own
        process under another number, but not a list that lacks it.
        """
        running = self.ask(
            "other processes",
            lambda: self.nvml.nvmlDeviceGetComputeRunningProcesses(self.instance),
        )
        if running is None:
            return None
        numbers = [each.pid for each in running]
        others = [pid for pid in numbers if pid != os.getpid() and not self._is_mps_server(pid)]
        if not numbers:
            self.not_known.setdefault("other processes", "the list lacks even this process")
            return None
        return len(others) if os.getpid() in numbers else max(0, len(others) - 1)

    def _is_mps_server(self, pid: int) -> bool:
        try:
            name = self.nvml.nvmlSystemGetProcessName(pid)
        except self.nvml.NVMLError:
            return False
        return os.path.basename(str(name)) == _MPS_SERVER


def open_driver(nvml: Any = None) -> NvidiaDriver | NotKnown:
    """The driver of torch's CUDA device 0, or why it cannot be asked.

    Args:
        nvml: something with the functions of `pynvml`; None for that module.
    """
    if nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return NotKnown("NVIDIA driver", "nvidia-ml-py is not installed")
    try:
        nvml.nvmlInit()
        return _find(nvml)
    except nvml.NVMLError as error:
        return NotKnown("NVIDIA driver", str(error).lower())


def _find(nvml: Any) -> NvidiaDriver:
    """By the name that torch knows, and for an instance by what the environment names."""
    uuid = torch.cuda.get_device_properties(0).uuid
    visible = os.environ.get(_VISIBLE, "").split(",")[0].strip()
    names = [f"GPU-{uuid}", f"MIG-{uuid}", *([visible] if visible.startswith("MIG-") else [])]
    if visible.startswith("MIG-"):  # torch may know an instance by the name of the whole GPU
        names.reverse()
    for name in names[:-1]:
        with contextlib.suppress(nvml.NVMLError):
            return _opened(nvml, name)
    return _opened(nvml, names[-1])


def _opened(nvml: Any, name: str) -> NvidiaDriver:
    handle = nvml.nvmlDeviceGetHandleByUUID(name)
    if not name.startswith("MIG-"):
        return NvidiaDriver(nvml, handle, handle)
    return NvidiaDriver(nvml, handle, _whole(nvml, handle), is_instance=True)


def _whole(nvml: Any, instance: Any) -> Any:
    """The GPU that an instance is a part of; the instance itself where that is not told."""
    try:
        return nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(instance)
    except nvml.NVMLError:
        return instance
