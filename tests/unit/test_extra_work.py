from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from perfsuite.device import FakeDevice
from perfsuite.errors import MeasurementError
from perfsuite.selftest.latency.extra_work import Cost, ExtraWork


class Unet:
    def __init__(self) -> None:
        self.calls = 0

    def forward(self, value: int) -> int:
        self.calls += 1
        return value + 1


def counted(work: ExtraWork, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    done: list[int] = []
    monkeypatch.setattr(work, "_do", done.append)
    return done


def test_fractions_of_a_unit_add_up_over_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    work = ExtraWork(torch.float32, FakeDevice())
    done = counted(work, monkeypatch)
    pipeline: Any = SimpleNamespace(unet=Unet())
    work.units_per_call = 2.25
    with work.inside(pipeline):
        assert [pipeline.unet.forward(place) for place in range(4)] == [1, 2, 3, 4]
    assert done == [2, 2, 2, 3]


def test_the_unet_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    work = ExtraWork(torch.float32, FakeDevice())
    done = counted(work, monkeypatch)
    pipeline: Any = SimpleNamespace(unet=Unet())
    work.units_per_call = 1.0
    with work.inside(pipeline):
        pass
    pipeline.unet.forward(1)
    assert done == []
    assert pipeline.unet.calls == 1


def test_a_fixed_cost_is_told_from_that_of_each_unit() -> None:
    # An image of 1 s; with 10 units 1.05 s, with 60 units 1.20 s: 0.3 % a unit on top of 2 %.
    device = FakeDevice(durations_s=[1.0, 1.05, 1.2] * 20)
    cost = ExtraWork(torch.float32, device).calibrate(lambda: None)
    assert cost.unit == pytest.approx(0.003)
    assert cost.fixed == pytest.approx(0.02)
    assert cost.units_for(0.05) == pytest.approx(10)
    assert cost.units_for(0.20) == pytest.approx(60)
    assert cost.units_for(0.0) == 0.0


def test_less_than_the_fixed_cost_cannot_be_planted() -> None:
    assert Cost(0.02, 0.003).units_for(0.01) == 0.0


def test_work_that_takes_no_time_is_refused() -> None:
    with pytest.raises(MeasurementError, match="too busy to calibrate"):
        ExtraWork(torch.float32, FakeDevice()).calibrate(lambda: None)


def test_the_work_is_real_and_stays_finite() -> None:
    work = ExtraWork(torch.bfloat16, FakeDevice())
    work._do(200)
    assert torch.isfinite(work._tokens).all()
