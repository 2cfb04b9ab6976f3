"""Recorded counts are found by what they depend on, and kept for each set of versions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perfsuite.errors import BaselineError
from perfsuite.judge.structure import RecordedCounts
from perfsuite.results.method import Method
from perfsuite.results.reasons import Incomparable
from perfsuite.stores.structure import CountedTier, CountedWith, StructureStore
from tests.unit.counted import counters
from tests.unit.samples import environment, hardware

HERE = CountedWith("cpu", "AVX2", {"torch": "2.13.0", "diffusers": "0.42.1"})
METHOD = Method("pocket", "sha256:1", None, ("a",), "w")


def a_store(tmp_path: Path) -> StructureStore:
    return StructureStore(tmp_path / "committed", tmp_path / "local", "pocket", "w")


def save(store: StructureStore, here: CountedWith = HERE, steps: int = 3) -> None:
    counted = CountedTier(replace(counters(), steps=steps), METHOD)
    store.save(store.committed, "fp32", counted, here)


def found(store: StructureStore, here: CountedWith = HERE) -> RecordedCounts:
    known = store.find("fp32", METHOD, here)
    assert isinstance(known, RecordedCounts)
    return known


def test_counts_come_back_as_they_were_saved(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    assert store.find("fp32", METHOD, HERE) is None
    save(store)
    assert found(store) == RecordedCounts(counters())
    assert store.find("bf16", METHOD, HERE) is None


def test_saving_again_replaces_those_of_the_same_versions_only(tmp_path: Path) -> None:
    store, newer = a_store(tmp_path), replace(HERE, versions={**HERE.versions, "torch": "2.14.1"})
    save(store)
    save(store, newer, steps=4)
    save(store, steps=5)
    assert found(store).counters.steps == 5
    assert found(store, newer).counters.steps == 4


def test_other_versions_are_named(tmp_path: Path) -> None:
    store, newer = a_store(tmp_path), replace(HERE, versions={**HERE.versions, "torch": "2.14.1"})
    save(store)
    known = found(store, newer)
    assert (known.before, known.now) == (("torch 2.13.0",), ("torch 2.14.1",))


def test_the_same_versions_on_another_cpu_come_before_other_versions(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    save(store, replace(HERE, versions={"torch": "2.12.0"}), steps=1)
    save(store, replace(HERE, machine="AVX512"), steps=2)
    known = found(store)
    assert (known.counters.steps, known.same_machine, known.before) == (2, False, ())


def test_counts_of_another_method_are_never_compared(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    save(store)
    other = replace(METHOD, changes=("a", "b"))
    assert store.find("fp32", other, HERE) == Incomparable("changes", "a,b", "a")


def test_another_kind_of_device_has_its_own(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    save(store)
    assert store.find("fp32", METHOD, replace(HERE, device="cuda")) is None


def test_a_file_of_another_workload_is_refused(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    save(store)
    with pytest.raises(BaselineError, match="was recorded for pocket, workload w"):
        replace(store, workload="x").find("fp32", METHOD, HERE)


def test_a_session_counts_with_its_libraries_and_vectors() -> None:
    here = CountedWith.here(environment(hardware(features=("AVX2", "avx512_vnni"))))
    assert here.machine == "AVX2 avx512_vnni"
    assert here.versions == {"torch": "2.13.0+cpu", "diffusers": "0.42.1", "torchao": "0.18.0"}
