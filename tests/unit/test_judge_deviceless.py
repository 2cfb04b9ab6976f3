"""With the same versions a difference is a change; between versions it is for review."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfsuite.judge.deviceless import compare_structures, version_changes
from perfsuite.results.deviceless_comparison import StructureOutcome, VersionChange
from perfsuite.results.structure import CountDifference
from tests.unit.structures import ATTENTION, kernels, record, tier


def test_equal_counts_are_the_same() -> None:
    found = compare_structures(record(), record(), "here")
    assert found.outcome is StructureOutcome.SAME
    assert found.tiers[0].operators == found.tiers[0].totals == ()


def test_one_more_operator_is_a_change_and_is_named_with_its_module() -> None:
    found = compare_structures(record(tier(products=5)), record(), "here")
    assert found.outcome is StructureOutcome.CHANGED
    assert found.tiers[0].operators == (CountDifference(ATTENTION, "aten.mm", 4, 5),)
    assert found.tiers[0].totals == (CountDifference("unet", "FLOPs", 4 * 10**12, 5 * 10**12),)


def test_between_versions_it_is_for_review() -> None:
    found = compare_structures(record(tier(products=5), torch="2.14.1"), record(), "there")
    assert found.outcome is StructureOutcome.REVIEW
    assert found.versions == (VersionChange("torch", "2.13.0+cpu", "2.14.1"),)


def test_builds_of_one_release_are_one_version() -> None:
    assert version_changes({"torch": "2.13.0+cpu"}, {"torch": "2.13.0+cu130"}) == ()
    changed = compare_structures(record(tier(products=5), torch="2.13.0"), record(), "here")
    assert changed.outcome is StructureOutcome.CHANGED


def test_without_an_expectation_nothing_passes() -> None:
    assert compare_structures(record(), None, None).outcome is StructureOutcome.NO_EXPECTATION
    one_known = compare_structures(record(tier(), tier("int8")), record(), "here")
    assert [each.outcome.value for each in one_known.tiers] == ["same", "no expectation"]
    assert one_known.outcome is StructureOutcome.NO_EXPECTATION


def test_a_record_of_no_tiers_is_no_pass() -> None:
    empty = replace(record(), tiers=())
    assert compare_structures(empty, record(), "here").outcome is StructureOutcome.NO_EXPECTATION


@pytest.mark.parametrize("torch", ["2.13.0", "2.14.1"])
def test_a_hook_that_has_moved_is_never_a_pass(torch: str) -> None:
    moved = replace(tier(), unsupported="torch.nn.Module._apply")
    found = compare_structures(record(moved, torch=torch), record(), "here")
    assert found.outcome is StructureOutcome.UNSUPPORTED
    assert found.tiers[0].unsupported == "torch.nn.Module._apply"
    arch = replace(kernels(), parts=(), unsupported="torch._inductor.gone")
    before = record(tier(archs=(kernels(),)))
    found = compare_structures(record(tier(archs=(arch,)), torch=torch), before, "here")
    assert found.outcome is StructureOutcome.UNSUPPORTED
    assert found.tiers[0].archs[0].unsupported == "torch._inductor.gone"


def test_an_unsupported_expectation_is_none() -> None:
    moved = replace(tier(), unsupported="torch.nn.Module._apply")
    found = compare_structures(record(), record(moved), "here")
    assert found.outcome is StructureOutcome.NO_EXPECTATION


def test_kernels_registers_and_launches_are_judged_for_each_architecture() -> None:
    before = record(tier(archs=(kernels("sm_80"), kernels("sm_90"))))
    now = record(tier(archs=(kernels("sm_80"), kernels("sm_90", launches=5, registers=48))))
    same, changed = compare_structures(now, before, "here").tiers[0].archs
    assert same.outcome is StructureOutcome.SAME
    assert changed.outcome is StructureOutcome.CHANGED
    assert changed.triton == (CountDifference(ATTENTION, "triton_poi_fused_add", 3, 5),)
    assert {(each.name, each.change) for each in changed.totals} == {
        ("kernel launches", 2),
        ("registers of all kernels", 8),
    }


def test_another_triton_makes_kernels_a_matter_of_review() -> None:
    before = record(tier(archs=(kernels(triton="3.7.1"),)))
    now = record(tier(archs=(kernels(registers=41),)))
    assert compare_structures(now, before, "here").outcome is StructureOutcome.REVIEW


def test_kernels_without_an_expectation_are_no_pass() -> None:
    now = record(tier(archs=(kernels(),)))
    found = compare_structures(now, record(), "here")
    assert found.tiers[0].archs[0].outcome is StructureOutcome.NO_EXPECTATION
    assert found.outcome is StructureOutcome.NO_EXPECTATION
    # Counting operators alone does not ask after kernels that are expected.
    assert compare_structures(record(), now, "here").outcome is StructureOutcome.SAME
