"""Conditions under which samples say nothing of the code."""

from __future__ import annotations

import pytest

from perfsuite.judge.validity import invalid_reason
from perfsuite.results.condition_reasons import (
    BusyElsewhere,
    DeviceShared,
    Stolen,
    Swapping,
    Throttled,
)
from perfsuite.results.machine import Conditions
from perfsuite.results.reasons import Reason


def found(conditions: Conditions, *, cores: int | None = 8, threads: int = 4) -> Reason | None:
    return invalid_reason(conditions, cores=cores, threads=threads)


def test_what_is_not_known_spoils_nothing() -> None:
    assert found(Conditions()) is None


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        (Conditions(throttled=("heat",)), Throttled(("heat",))),
        (Conditions(others_on_device=2), DeviceShared(2)),
        (Conditions(swapped_bytes=(1 << 20) + 1), Swapping()),
        (Conditions(stolen=0.06), Stolen(0.06)),
        (Conditions(busy_elsewhere=3.7), BusyElsewhere(3.7, 8)),
    ],
)
def test_each_condition_alone_spoils_samples(conditions: Conditions, reason: Reason) -> None:
    assert found(conditions) == reason


@pytest.mark.parametrize(
    "conditions",
    [
        Conditions(others_on_device=0),
        Conditions(swapped_bytes=1 << 20),
        Conditions(stolen=0.05),
        Conditions(busy_elsewhere=3.6),
    ],
)
def test_up_to_its_limit_a_condition_is_borne(conditions: Conditions) -> None:
    assert found(conditions) is None


@pytest.mark.parametrize(("busy", "is_borne"), [(0.75, True), (0.85, False)])
def test_where_measuring_takes_every_core_others_may_have_a_tenth(
    busy: float, is_borne: bool
) -> None:
    assert (found(Conditions(busy_elsewhere=busy), threads=8) is None) is is_borne


def test_busy_cores_do_not_matter_where_an_accelerator_does_the_work() -> None:
    assert found(Conditions(busy_elsewhere=7.9), cores=None) is None
