from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

from perfsuite.device import AcceleratorDevice, CpuDevice, Device, find_device
from perfsuite.errors import DeviceError
from tests.unit.fake_device import FakeDevice

no_accelerator = pytest.mark.skipif(torch.accelerator.is_available(), reason="has an accelerator")


def test_the_fake_and_the_real_ones_have_one_interface() -> None:
    # mypy checks these assignments; what is checked here is that nothing is missing at run time.
    devices: list[Device] = [FakeDevice(), CpuDevice(), AcceleratorDevice("cuda")]
    interface = {name for name in vars(Device) if not name.startswith("_")}
    assert interface >= {"timed", "peak_memory", "name"}
    for device in devices:
        assert all(hasattr(device, name) for name in interface)


def test_cpu_is_always_there() -> None:
    device = find_device("cpu")
    assert isinstance(device, CpuDevice)
    assert (device.name, device.is_accelerator) == ("cpu", False)


@no_accelerator
def test_auto_without_an_accelerator_is_the_cpu() -> None:
    assert isinstance(find_device("auto"), CpuDevice)


@pytest.mark.parametrize("wish", ["quantum", "cuda:x", "CPU", ""])
def test_a_device_that_is_not_there_is_named_with_a_mend(wish: str) -> None:
    with pytest.raises(DeviceError, match=rf"no '{wish}' device.*--perf-device cpu"):
        find_device(wish)


@no_accelerator
def test_an_accelerator_that_is_not_there_is_refused_and_the_cpu_is_no_substitute() -> None:
    with pytest.raises(DeviceError, match="no 'cuda' device"):
        find_device("cuda")


def test_cpu_time_is_wall_clock_time_and_the_result_comes_back() -> None:
    def nap() -> str:
        time.sleep(0.02)
        return "rested"

    seconds, result = CpuDevice().timed(nap)
    assert result == "rested"
    assert 0.02 <= seconds < 5


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_peak_holds_an_allocation_that_is_gone_and_a_reset_forgets_it() -> None:
    device = CpuDevice()
    held = device.held_memory()
    device.reset_peak_memory()
    before = device.peak_memory(held)
    if before.peak_bytes is None:
        pytest.skip(str(before.reason))
    size = 256 << 20
    block = torch.ones(size, dtype=torch.uint8)
    del block
    after = device.peak_memory(held).peak_bytes
    device.reset_peak_memory()
    forgotten = device.peak_memory(held).peak_bytes
    assert after is not None
    assert forgotten is not None
    assert after - before.peak_bytes > 0.9 * size
    assert after - forgotten > 0.9 * size


def test_a_kernel_that_resets_no_peak_gives_none_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CpuDevice, "_clear_refs", tmp_path / "absent" / "clear_refs")
    device = CpuDevice()
    device.reset_peak_memory()
    peak = device.peak_memory(0)
    assert peak.peak_bytes is None
    assert peak.reason is not None
    assert "peak resident set" in peak.reason


def test_a_peak_that_was_never_reset_is_not_reported() -> None:
    assert CpuDevice().peak_memory(0).peak_bytes is None


def test_a_kernel_without_a_high_water_mark_gives_none_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "status").write_text("Name:\tpython\nVmRSS:\t100 kB\n")
    monkeypatch.setattr(CpuDevice, "_clear_refs", tmp_path / "clear_refs")
    monkeypatch.setattr(CpuDevice, "_status", tmp_path / "status")
    device = CpuDevice()
    device.reset_peak_memory()
    assert device.peak_memory(0).reason == "the kernel reports no VmHWM"


def test_the_high_water_mark_is_read_in_kibibytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t    1536 kB\n")
    monkeypatch.setattr(CpuDevice, "_clear_refs", tmp_path / "clear_refs")
    monkeypatch.setattr(CpuDevice, "_status", tmp_path / "status")
    device = CpuDevice()
    device.reset_peak_memory()
    assert device.peak_memory(0).peak_bytes == 1536 * 1024


def test_a_tiers_peak_is_without_what_was_there_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Libraries of a CUDA build are resident too: 3 GB more that no tier has asked for.
    status = tmp_path / "status"
    monkeypatch.setattr(CpuDevice, "_clear_refs", tmp_path / "clear_refs")
    monkeypatch.setattr(CpuDevice, "_status", status)
    device, peaks = CpuDevice(), []
    for libraries_kb in (500_000, 3_500_000):
        status.write_text(f"VmRSS:\t{libraries_kb} kB\n")
        held = device.held_memory()
        device.reset_peak_memory()
        status.write_text(f"VmHWM:\t{libraries_kb + 80_000} kB\n")
        peaks.append(device.peak_memory(held))
    assert [each.peak_bytes for each in peaks] == [80_000 * 1024] * 2
    assert peaks[1].held_bytes == 3_500_000 * 1024
    assert device.peak_memory(None).reason == "what was resident before the tier is not known"


def test_the_fake_takes_its_time_from_the_script_and_repeats_its_end() -> None:
    device = FakeDevice(durations_s=[3.0, 1.0])
    assert [device.timed(lambda: "done") for _ in range(3)] == [
        (3.0, "done"),
        (1.0, "done"),
        (1.0, "done"),
    ]
    assert device.events == ["timed"] * 3


def test_a_fake_without_a_peak_gives_a_reason() -> None:
    peak = FakeDevice(peak_bytes=None).peak_memory()
    assert peak.peak_bytes is None
    assert peak.reason
