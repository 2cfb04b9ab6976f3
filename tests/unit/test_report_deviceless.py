"""The page of a structure: every tier in one table, and what differs, worst first."""

from __future__ import annotations

from dataclasses import replace

from perfsuite.judge.deviceless import compare_structures
from perfsuite.report.console import render_console
from perfsuite.report.deviceless import structure_document
from perfsuite.report.json import render_json
from perfsuite.report.markdown import render_markdown
from perfsuite.results.deviceless import StructureRecord, TierStructure
from tests.unit.structures import ATTENTION, kernels, record, tier


def page(now: StructureRecord, before: StructureRecord | None = None, width: int = 80) -> str:
    comparison = compare_structures(now, before, "torch-2.13.0.json" if before else None)
    return render_console(structure_document(now, comparison), width=width)


def test_a_tier_is_one_line_of_80_columns() -> None:
    shown = page(record(), record())
    assert max(map(len, shown.splitlines())) <= 80
    line = next(line for line in shown.splitlines() if line.startswith("sdpa"))
    assert line.split() == [
        *("sdpa", "5", "1", "4.000", "T", "5.0", "GiB", "1.0", "GiB", "8.0", "GiB"),
        *("16", "GiB", "same"),
    ]
    assert "Nothing has changed. Against torch-2.13.0.json." in shown


def test_a_narrow_terminal_keeps_operators_peak_and_outcome() -> None:
    shown = page(record(), record(), width=48)
    line = next(line for line in shown.splitlines() if line.startswith("sdpa"))
    assert line.split()[:2] == ["sdpa", "5"]
    assert line.endswith("same")
    assert max(map(len, shown.splitlines())) <= 48


def test_what_differs_is_named_with_its_module() -> None:
    shown = page(record(tier(products=5)), record(), width=100)
    assert "The same versions gave something else before: a change." in shown
    assert f"{ATTENTION} aten.mm" in shown
    assert f"sdpa: 1 more operator, all in {ATTENTION}." in shown
    assert "+1" in shown


def test_versions_are_named_where_they_differ() -> None:
    shown = " ".join(page(record(tier(products=5), torch="2.14.1"), record()).split())
    assert "It differs between the versions" in shown
    assert "torch 2.13.0+cpu → 2.14.1" in shown


def test_equal_counts_of_other_versions_say_both() -> None:
    shown = " ".join(page(record(torch="2.14.1"), record()).split())
    assert "Nothing has changed. Against torch-2.13.0.json (torch 2.13.0+cpu → 2.14.1)." in shown


def test_a_hook_that_has_moved_is_named() -> None:
    moved = TierStructure("sdpa", unsupported="torch.nn.Module._apply")
    shown = page(record(moved), record())
    assert "sdpa: unsupported: torch.nn.Module._apply" in shown
    assert "Nothing has changed" not in shown


def test_kernels_have_a_line_for_each_architecture() -> None:
    counted = tier(archs=(kernels("sm_80"), kernels("sm_90", registers=96)))
    shown = page(record(counted), record(counted), width=100)
    lines = [line.split() for line in shown.splitlines() if " unet " in line]
    assert [line[1] for line in lines if line[0] == "sdpa"] == ["sm_80", "sm_90"]
    assert "96" in lines[1]
    assert "extern_kernels.mm" in shown


def test_kernels_that_differ_are_said_in_words() -> None:
    before = record(tier(archs=(kernels(launches=17),)))
    shown = page(record(tier(archs=(kernels(launches=3),))), before, width=120)
    assert f"sdpa, sm_90: 14 fewer launches of generated kernels, all in {ATTENTION}." in shown


def test_long_lists_end_with_what_is_left_out() -> None:
    calls = {ATTENTION: {f"aten.op{number}": 1 for number in range(20)}}
    now = replace(tier(), operators=replace(tier().operators, calls=calls))
    shown = page(record(now), record())
    assert "more, " in shown


def test_other_dialects_hold_the_same() -> None:
    document = structure_document(record(), compare_structures(record(), None, None))
    assert "| sdpa | 5 | 1 |" in render_markdown(document)
    assert '"operators": "5"' in render_json(document)
    assert "no expectation" in render_markdown(document)
