from __future__ import annotations

from typing import Any

import pytest
import torch

from perfsuite.errors import MeasurementError
from perfsuite.selftest.latency.extra_work import ExtraWork
from tests.unit.fake_device import FakeDevice
from tests.unit.toy_family import StableDiffusionXLPipeline


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
    pipeline: Any = StableDiffusionXLPipeline(unet=Unet())
    work.units_per_call = 2.25
    with work.inside(pipeline):
        assert [pipeline.unet.forward(place) for place in range(4)] == [1, 2, 3, 4]
    assert done == [3, 3, 3, 4]


def test_the_unet_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    work = ExtraWork(torch.float32, FakeDevice())
    done = counted(work, monkeypatch)
    pipeline: Any = StableDiffusionXLPipeline(unet=Unet())
    work.units_per_call = 1.0
    with work.inside(pipeline):
        pass
    pipeline.unet.forward(1)
    assert done == []
    assert pipeline.unet.calls == 1


def test_one_unit_stands_in_every_call_even_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    work = ExtraWork(torch.float32, FakeDevice())
    done = counted(work, monkeypatch)
    pipeline: Any = StableDiffusionXLPipeline(unet=Unet())
    with work.inside(pipeline):
        pipeline.unet.forward(1)
    assert done == [1]


def test_a_units_cost_is_that_of_many_by_their_number() -> None:
    # An image of 1 s, and of 1.6 s with 200 units in each call: 0.3 % a unit.
    device = FakeDevice(durations_s=[1.0, 1.6] * 20)
    assert ExtraWork(torch.float32, device).calibrate(lambda: None) == pytest.approx(0.003)


def test_work_that_takes_no_time_is_refused() -> None:
    with pytest.raises(MeasurementError, match="too busy to calibrate"):
        ExtraWork(torch.float32, FakeDevice()).calibrate(lambda: None)


def test_the_work_is_real_and_stays_finite() -> None:
    work = ExtraWork(torch.bfloat16, FakeDevice())
    work._do(200)
    assert torch.isfinite(work._tokens).all()
