"""What a watch sees of this machine; of an NVIDIA device see test_device_nvidia."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from perfsuite.device import AcceleratorDevice, CpuDevice, usable_cores
from perfsuite.measure.conditions import AcceleratorWatch, CpuWatch, watch_for


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


def test_a_cpu_is_watched_alone_and_an_accelerator_beside_its_host() -> None:
    assert isinstance(watch_for(CpuDevice()), CpuWatch)
    assert isinstance(watch_for(AcceleratorDevice("xpu")), AcceleratorWatch)
