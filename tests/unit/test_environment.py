from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsuite.device import usable_cores
from perfsuite.environment import (
    describe_environment,
    describe_hardware,
    git_revision,
    installed_packages,
)
from perfsuite.results.machine import Hardware
from tests.unit.fake_device import FakeDevice
from tests.unit.samples import hardware


def test_the_keys_that_name_stored_baselines_stay_what_they_are() -> None:
    # If this fails, every committed baseline lies in a folder that is no longer looked for.
    epyc = Hardware("cpu", "AMD EPYC 7B13 64-Core", cores=2, features=("AVX2", "avx512_bf16"))
    h100 = Hardware(
        "cuda", "NVIDIA H100 80GB HBM3", memory_gib=79, power_limit_w=700, features=("sm90",)
    )
    assert epyc.key == "cpu-amd-epyc-7b13-64-core-2c-avx2-avx512-bf16"
    assert h100.key == "cuda-nvidia-h100-80gb-hbm3-79gib-700w-sm90"


def test_the_label_is_appended_as_it_is() -> None:
    assert hardware(label="Rack-7.b").key == "cpu-amd-epyc-2c--Rack-7.b"


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("Intel(R) Core(TM) i7 CPU @ 2.60GHz", "cpu-intel-r-core-tm-i7-cpu-2-60ghz-2c"),
        ("../../etc/passwd", "cpu-etc-passwd-2c"),
        ("C:\\CON\0\n", "cpu-c-con-2c"),
        ("龙芯 3A6000", "cpu-3a6000-2c"),
        ("", "cpu-2c"),
    ],
)
def test_an_odd_name_gives_a_plain_folder_name(model: str, key: str) -> None:
    assert hardware(model=model).key == key


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=60))
def test_no_name_can_leave_the_folder_of_baselines(odd: bytes) -> None:
    model = odd.decode("latin-1")
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", hardware(model=model).key)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "cuda"},
        {"model": "AMD Ryzen"},
        {"cores": 3},
        {"memory_gib": 80},
        {"power_limit_w": 300},
        {"features": ("AVX512",)},
        {"label": "rack-7"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_decides_the_pace_is_part_of_the_key(change: dict[str, Any]) -> None:
    assert hardware(**change).key != hardware().key


def test_this_machine_gives_the_same_key_every_time() -> None:
    one, other = (describe_hardware(FakeDevice(), "pool") for _ in range(2))
    assert one == other
    assert one.kind == "cpu"
    assert one.cores == len(usable_cores()) >= 1
    assert re.fullmatch(r"cpu-[a-z0-9-]+--pool", one.key)


def test_an_accelerator_without_details_is_named_by_its_kind() -> None:
    device = FakeDevice(name="xpu", is_accelerator=True)
    assert describe_hardware(device, None) == Hardware("xpu", "xpu")


def test_versions_are_of_packages_that_are_there() -> None:
    packages = installed_packages()
    assert packages["pytest"] == pytest.__version__
    assert "torch" in packages
    assert all(packages.values())


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.invalid")
    command = ["git", "-C", str(folder), *identity, *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize("text", [None, "", "Name: torchao\n", "Version: 9.9\n"])
def test_a_half_removed_package_is_passed_over(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = installed_packages()
    left = tmp_path / "torchao-9.9.dist-info"
    left.mkdir()
    if text is not None:
        (left / "METADATA").write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert installed_packages() == before


def test_a_folder_outside_a_checkout_has_no_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision(tmp_path) is None


def test_a_machine_without_git_has_no_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision(tmp_path) is None


def test_a_revision_says_whether_files_have_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first", "--no-gpg-sign")
    clean = git_revision(tmp_path)
    (tmp_path / "file").write_text("two")
    assert clean is not None
    assert re.fullmatch(r"[0-9a-f]{7,40}", clean)
    assert git_revision(tmp_path) == f"{clean}+"


def test_an_environment_says_when_and_where(tmp_path: Path) -> None:
    found = describe_environment(FakeDevice(), None, tmp_path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found.recorded_at)
    assert re.fullmatch(r"3\.\d+\.\d+\S*", found.python)
    assert found.threads >= 1
