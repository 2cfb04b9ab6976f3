"""What the real pynvml reads from a scripted driver, and what becomes of a tier's samples."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from perfsuite.device import AcceleratorDevice
from perfsuite.device.nvidia import NvidiaDriver, open_driver
from perfsuite.judge.validity import invalid_reason
from perfsuite.measure import conditions
from perfsuite.measure.conditions import FakeWatch, watch_for
from perfsuite.results.condition_reasons import DeviceShared, Throttled
from perfsuite.results.machine import Conditions, NotKnown
from tests.unit import scripted_nvml
from tests.unit.samples import latency_samples, measurement
from tests.unit.scripted_nvml import UUID, ScriptedNvml

MIG = "MIG-99999999-8888-7777-6666-555555555555"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scripted_nvml.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def nvml(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedNvml:
    scripted = scripted_nvml.install(library, tmp_path / "script", monkeypatch)
    scripted.write(processes_1=os.getpid())
    monkeypatch.setattr(conditions, "CpuWatch", FakeWatch)
    return scripted


def watched(*between: Callable[[], None]) -> Conditions:
    """Conditions of as many samples as there are functions; each runs during one."""
    watch = watch_for(AcceleratorDevice("cuda"))
    watch.start()
    for sample in between:
        watch.between_samples()
        sample()
    return watch.finish()


def nothing() -> None:
    """A quiet sample."""


def test_a_quiet_gpu_has_nothing_to_complain_of(nvml: ScriptedNvml) -> None:
    seen = watched(nothing, nothing)
    assert (seen.throttled, seen.throttled_samples, seen.others_on_device) == ((), (), 0)
    assert (seen.clock_mhz, seen.temperature_c, seen.power_w) == ((1980, 1980), 50, 300.0)
    assert len(seen.readings) == 2
    assert seen.not_known == ()
    driver = open_driver()
    assert isinstance(driver, NvidiaDriver)
    assert (driver.version(), driver.power_limit_w()) == ("570.86.15", 700)


def test_a_sample_that_was_slowed_down_is_left_out_and_the_others_are_judged(
    nvml: ScriptedNvml,
) -> None:
    seen = watched(nothing, lambda: nvml.write(violation_1=2_000_000_000), nothing)
    assert seen.throttled == ("thermal",)
    assert seen.throttled_samples == (1,)
    assert invalid_reason(seen, cores=8, threads=1) is None
    taken = replace(
        measurement(latency=latency_samples((1.0, 9.0, 2.0), (0.1, 0.9, 0.2))), conditions=seen
    )
    assert taken.unspoilt.samples_s == (1.0, 2.0)
    assert taken.unspoilt.probe_s == (0.1, 0.2)
    assert taken.latency.samples_s == (1.0, 9.0, 2.0)  # what was measured is kept


def test_a_tier_whose_samples_are_mostly_slowed_down_is_invalid(nvml: ScriptedNvml) -> None:
    slow = (lambda total=total: nvml.write(violation_3=total) for total in (10**9, 2 * 10**9))
    seen = watched(*slow, nothing)
    assert seen.throttled_samples == (0, 1)
    assert invalid_reason(seen, cores=8, threads=1) == Throttled(("power brake or board limit",))


def test_a_data_centre_gpu_at_its_power_limit_is_not_throttled(nvml: ScriptedNvml) -> None:
    assert watched(lambda: nvml.write(violation_0=10**9, reasons=0x04)).throttled == ()


def test_without_counters_the_bits_after_a_sample_tell(nvml: ScriptedNvml) -> None:
    nvml.write(**{f"error_violation_{policy}": 3 for policy in (1, 3, 5)})
    seen = watched(nothing, lambda: nvml.write(reasons=0x40), lambda: nvml.write(reasons=0))
    assert seen.throttled == ("thermal slowdown (hardware)",)
    assert seen.throttled_samples == (1,)
    assert NotKnown("time of thermal slowdown", "not supported") in seen.not_known


@pytest.mark.parametrize(("code", "why"), [(3, "not supported"), (4, "insufficient permissions")])
def test_what_a_driver_does_not_tell_is_not_known_with_the_reason(
    nvml: ScriptedNvml, code: int, why: str
) -> None:
    keys = ("clock", "temperature", "power", "reasons", "processes", "limit")
    nvml.write(**{f"error_{key}": code for key in keys})
    nvml.write(**{f"error_violation_{policy}": code for policy in (1, 3, 5)})
    seen = watched(nothing, nothing)
    assert (seen.clock_mhz, seen.temperature_c, seen.power_w) == (None, None, None)
    assert (seen.others_on_device, seen.throttled_samples) == (None, ())
    assert {each.reason for each in seen.not_known} == {why}
    assert len(seen.not_known) == 8
    assert invalid_reason(seen, cores=8, threads=1) is None
    driver = open_driver()
    assert isinstance(driver, NvidiaDriver)
    assert driver.power_limit_w() is None


def test_a_driver_that_is_not_there_is_not_known_and_the_host_is_watched(
    nvml: ScriptedNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeWatch(Conditions(busy_elsewhere=0.3))
    monkeypatch.setattr(conditions, "CpuWatch", lambda: host)
    nvml.write(init=9)
    seen = watched(nothing)
    assert seen.not_known == (NotKnown("NVIDIA driver", "driver not loaded"),)
    assert seen.busy_elsewhere == 0.3


def test_the_host_is_watched_beside_the_device(
    nvml: ScriptedNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "CpuWatch", lambda: FakeWatch(Conditions(busy_elsewhere=7.9)))
    seen = watched(nothing)
    assert seen.clock_mhz == (1980, 1980)
    assert invalid_reason(seen, cores=8, threads=1) is not None


def test_another_process_is_somebody_else(nvml: ScriptedNvml) -> None:
    nvml.write(processes_1=f"{os.getpid()} 4242")
    seen = watched(nothing)
    assert seen.others_on_device == 1
    assert invalid_reason(seen, cores=8, threads=1) == DeviceShared(1)


def test_a_container_may_see_its_process_under_another_number(nvml: ScriptedNvml) -> None:
    nvml.write(processes_1="900001")
    assert watched(nothing).others_on_device == 0
    nvml.write(processes_1="900001 900002")
    assert watched(nothing).others_on_device == 1


def test_a_list_that_lacks_even_this_process_tells_nothing(nvml: ScriptedNvml) -> None:
    nvml.write(processes_1=None)
    seen = watched(nothing)
    assert seen.others_on_device is None
    assert NotKnown("other processes", "the list lacks even this process") in seen.not_known


def test_the_server_of_mps_is_nobody_else_and_its_other_clients_are(nvml: ScriptedNvml) -> None:
    nvml.write(processes_1=f"{os.getpid()} 77", name_77="/usr/bin/nvidia-cuda-mps-server")
    assert watched(nothing).others_on_device == 0
    nvml.write(processes_1=f"{os.getpid()} 77 78")
    assert watched(nothing).others_on_device == 1


@pytest.mark.parametrize("named_by_torch", [True, False])
def test_on_an_instance_of_a_divided_gpu_the_whole_one_is_read(
    nvml: ScriptedNvml, named_by_torch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Others' work in other instances is not this one's; the clock and the power are common.
    if named_by_torch:
        nvml.write(gpu="GPU-other", mig=f"MIG-{UUID}")
    else:
        nvml.write(mig=MIG)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", MIG)
    nvml.write(processes_1=f"{os.getpid()} 1 2 3", processes_2=os.getpid())
    seen = watched(nothing)
    assert seen.others_on_device == 0
    assert seen.clock_mhz == (1980, 1980)
    assert seen.not_known == ()
    driver = open_driver()
    assert isinstance(driver, NvidiaDriver)
    assert driver.is_instance
    assert driver.power_limit_w() == 700


def test_a_device_that_nobody_finds_is_not_known(nvml: ScriptedNvml) -> None:
    nvml.write(gpu="GPU-other")
    assert open_driver() == NotKnown("NVIDIA driver", "not found")


def test_other_accelerators_say_that_their_driver_is_not_read(nvml: ScriptedNvml) -> None:
    watch = watch_for(AcceleratorDevice("xpu"))
    watch.start()
    (unread,) = watch.finish().not_known
    assert "only NVIDIA's" in unread.reason
