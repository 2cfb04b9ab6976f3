"""Expectations lie beside baselines, one file for each version of torch, merged by parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perfsuite.errors import BaselineError
from perfsuite.results.deviceless import combined, load_structure, save_structure
from perfsuite.stores.deviceless import expectation_path, load_expectation, nearest_expectation
from tests.unit.structures import WORKLOAD, kernels, record, tier


def test_builds_of_one_release_share_a_file(tmp_path: Path) -> None:
    path = expectation_path(tmp_path, "pocket", "2.13.0+cpu")
    assert path == expectation_path(tmp_path, "pocket", "2.13.0")
    assert path == tmp_path / "structure" / "pocket" / "torch-2.13.0.json"


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [("2.13.0", "2.13.0"), ("2.14.1", "2.14.0"), ("2.20", "2.14.0"), ("2.9.1", "2.10.0")],
)
def test_the_nearest_is_the_newest_of_an_older_torch(
    tmp_path: Path, wanted: str, nearest: str
) -> None:
    for version in ("2.10.0", "2.13.0", "2.14.0"):
        save_structure(expectation_path(tmp_path, "pocket", version), record())
    found = nearest_expectation(expectation_path(tmp_path, "pocket", wanted))
    assert found == expectation_path(tmp_path, "pocket", nearest)


def test_there_may_be_none(tmp_path: Path) -> None:
    assert nearest_expectation(expectation_path(tmp_path, "pocket", "2.13.0")) is None


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    written = record(tier(archs=(kernels(),)))
    path = tmp_path / "torch-2.13.0.json"
    save_structure(path, written)
    assert load_structure(path) == written
    assert load_expectation(path, record()) == written


@pytest.mark.parametrize("field", ["architecture", "workload"])
def test_only_like_is_compared_with_like(tmp_path: Path, field: str) -> None:
    other = {
        "architecture": replace(record(), architecture="ba9876543210"),
        "workload": replace(record(), workload=replace(WORKLOAD, width=512)),
    }
    path = tmp_path / "torch-2.13.0.json"
    save_structure(path, other[field])
    with pytest.raises(BaselineError, match=f"of another {field}"):
        load_expectation(path, record())


def test_a_damaged_expectation_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "torch-2.13.0.json"
    path.write_text("{")
    with pytest.raises(BaselineError, match=r"torch-2\.13\.0\.json is not valid"):
        load_structure(path)


def test_what_was_not_counted_now_is_kept() -> None:
    before = record(tier(archs=(kernels("sm_80"),)), tier("int8"))
    now = record(tier(products=5, archs=(kernels("sm_90"),)))
    merged = combined(before, now)
    assert [each.tier for each in merged.tiers] == ["sdpa", "int8"]
    assert merged.tiers[0].operators == now.tiers[0].operators
    assert [each.arch for each in merged.tiers[0].kernels] == ["sm_80", "sm_90"]


def test_nothing_of_other_packages_is_kept() -> None:
    now = record(torch="2.14.1")
    assert combined(record(tier("int8")), now) == now
