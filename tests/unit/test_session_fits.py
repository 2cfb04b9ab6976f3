"""Tiers that a card has no room for are known before a weight is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.checkpoints import find_checkpoint
from perfsuite.ladder import find_tiers
from perfsuite.report.messages import say
from perfsuite.results.deviceless import StructureRecord, load_structure
from perfsuite.results.support_reasons import NeedsMemory
from perfsuite.session.fits import without_too_large
from perfsuite.session.subject import Subject
from perfsuite.workload import Workloads
from tests.unit.fake_device import FakeDevice

PLANNED = load_structure(
    Path(__file__).parents[2] / "baselines/structure/sdxl-random/torch-2.13.0.json"
)


def subject(free_gib: float | None) -> Subject:
    sdxl = find_checkpoint("sdxl-random")
    free = None if free_gib is None else int(free_gib * 2**30)
    device = FakeDevice(name="cuda", is_accelerator=True, free_bytes=free)
    tiers = find_tiers(["fp32", "bf16", "int8"])
    return Subject(device, tiers, sdxl, (sdxl.workloads(),), {}, {})


def planned(asked: Subject, work: Workloads) -> StructureRecord:
    return PLANNED


def never(asked: Subject, work: Workloads) -> StructureRecord:
    raise AssertionError("nothing is planned where there is room for everything")


@pytest.mark.parametrize(
    ("free_gib", "supported"),
    [(15.5, ["bf16", "int8"]), (23.5, ["fp32", "bf16", "int8"]), (6.0, [])],
)
def test_what_is_planned_to_need_more_than_is_free_is_not_supported_here(
    free_gib: float, supported: list[str]
) -> None:
    fitting = without_too_large(subject(free_gib), planned)
    assert [tier.name for tier in fitting.supported] == supported


def test_the_reason_says_how_much() -> None:
    why = without_too_large(subject(15.5), planned).obstacles["fp32"]
    assert isinstance(why, NeedsMemory)
    assert say(why).startswith("it is planned to need 18.")
    assert "16.6 GB are free" in say(why)


@pytest.mark.parametrize("free_gib", [None, 39.0, 79.0])
def test_where_there_is_room_or_nobody_knows_nothing_is_planned(free_gib: float | None) -> None:
    asked = subject(free_gib)
    assert without_too_large(asked, never) is asked


def test_where_no_plan_can_be_made_nothing_is_refused() -> None:
    asked = subject(15.5)
    assert without_too_large(asked, lambda *_: None) is asked
