"""What a watch sees, on this machine's real counters and on a device that is made up."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from perfsuite.device import AcceleratorDevice, CpuDevice, usable_cores
from perfsuite.measure.conditions import CpuWatch, NvidiaWatch, watch_for


class FakeNvml:
    """The functions of pynvml that are used, on a device whose readings are scripted."""

    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def __init__(self) -> None:
        self.clock, self.temperature, self.milliwatts, self.reasons = 1980, 50, 300_000, 0
        self.processes = [SimpleNamespace(pid=1)]

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> int:  # noqa: N802
        return self.clock

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:  # noqa: N802
        return self.temperature

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        return self.milliwatts

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:  # noqa: N802
        return self.reasons

    def nvmlDeviceGetComputeRunningProcesses(  # noqa: N802
        self, handle: int
    ) -> list[SimpleNamespace]:
        return self.processes


def test_another_process_that_works_is_seen() -> None:
    watch = CpuWatch()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        time.sleep(0.3)
        watch.start()
        time.sleep(0.7)
        seen = watch.finish()
        other.kill()
    assert seen.busy_elsewhere is not None
    assert seen.busy_elsewhere > 0.3


def test_own_work_is_not_counted_as_that_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    start = psutil.cpu_times(percpu=True)
    later = [core._replace(user=core.user + 10.0 / len(usable_cores())) for core in start]
    moments = iter([start, later])
    own = psutil.Process().cpu_times()
    owns = iter([own, own._replace(user=own.user + 10.0)])
    watch = CpuWatch()
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: next(moments))
    monkeypatch.setattr(watch._process, "cpu_times", lambda: next(owns))
    watch.start()
    assert watch.finish().busy_elsewhere == pytest.approx(0.0, abs=1e-6)


def test_a_quiet_gpu_has_nothing_to_complain_of() -> None:
    watch = NvidiaWatch(FakeNvml(), "GPU-0")
    watch.start()
    watch.between_samples()
    seen = watch.finish()
    assert seen.throttled == ()
    assert seen.others_on_device == 0
    assert seen.clock_mhz == (1980, 1980)
    assert seen.power_w == 300.0


def test_every_sample_has_a_reading_of_its_own() -> None:
    nvml = FakeNvml()
    watch = NvidiaWatch(nvml, "GPU-0")
    watch.start()
    for clock in (1980, 1200, 1500):
        nvml.clock = clock
        watch.between_samples()
    assert [each.clock_mhz for each in watch.finish().readings] == [1980, 1200, 1500]


def test_what_happened_between_two_samples_only_is_kept() -> None:
    nvml = FakeNvml()
    watch = NvidiaWatch(nvml, "GPU-0")
    watch.start()
    nvml.reasons, nvml.clock, nvml.temperature = 0x40 | 0x04, 1200, 88
    nvml.processes.append(SimpleNamespace(pid=2))
    watch.between_samples()
    nvml.reasons, nvml.clock, nvml.temperature = 0, 1980, 70
    nvml.processes.pop()
    watch.between_samples()
    seen = watch.finish()
    assert seen.throttled == ("thermal slowdown (hardware)",)
    assert seen.clock_mhz == (1200, 1980)
    assert seen.temperature_c == 88
    assert seen.others_on_device == 1


def test_a_device_whose_driver_is_not_there_is_watched_by_its_host() -> None:
    assert isinstance(watch_for(CpuDevice()), CpuWatch)
    assert isinstance(watch_for(AcceleratorDevice("xpu")), CpuWatch)
