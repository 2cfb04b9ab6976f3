"""The recipes that distil pocket: a step of each, what they keep, and what they write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import LCMScheduler, UNet2DConditionModel

from perfsuite.checkpoints.adapter import Adapter
from training.compression import CompressionSettings, CompressionStage, inherit, smaller_unet
from training.consistency import ConsistencySettings, ConsistencyStage, boundary_scalings
from training.methods import POCKET, main
from training.models import parameters_of
from training.teacher import Condition, Teacher

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    dice = torch.Generator().manual_seed(0)
    return Teacher(ROOT / POCKET, torch.randn(216, 4, 16, 16, generator=dice), seed=0)


def test_the_boundary_is_where_the_answer_is_the_latents() -> None:
    skip, out = boundary_scalings(torch.tensor([0, 999]))
    assert skip.flatten().tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert out.flatten().tolist() == pytest.approx([0.0, 1.0], abs=1e-6)
    scheduler = LCMScheduler()
    scheduler.set_timesteps(4)
    for time in (499, 999):
        c_skip, c_out = scheduler.get_scalings_for_boundary_condition_discrete(time)
        own = boundary_scalings(torch.tensor([time]))
        assert (own[0].item(), own[1].item()) == pytest.approx((float(c_skip), float(c_out)))


def test_the_empty_prompt_is_zeros(teacher: Teacher) -> None:
    told = teacher.told(["A fox in the snow", "An owl"])
    kept = told.kept(torch.tensor([1.0, 0.0]))
    assert torch.equal(kept.states[0], told.states[0])
    assert not kept.states[1].any()
    assert not kept.pooled[1].any()
    assert isinstance(kept, Condition)


def test_a_step_moves_the_adapter_alone_and_can_be_resumed(
    teacher: Teacher, tmp_path: Path
) -> None:
    settings = replace(ConsistencySettings(), batch=2, rank=4)
    stage = ConsistencyStage(settings, teacher)
    before = [each.clone() for each in stage.weights]
    frozen = [each.clone() for each in stage.frozen.parameters()]
    assert stage.step(0, 0.0) > 0
    assert any(not torch.equal(a, b) for a, b in zip(before, stage.weights, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(frozen, stage.frozen.parameters(), strict=True))
    again = ConsistencyStage(settings, teacher)
    again.load(stage.state())
    assert all(torch.equal(a, b) for a, b in zip(again.weights, stage.weights, strict=True))
    stage.save(tmp_path)
    Adapter(str(tmp_path)).check()


def test_the_smaller_unet_keeps_what_fits_and_learns(teacher: Teacher, tmp_path: Path) -> None:
    small = smaller_unet()
    assert parameters_of(small) < 0.5 * parameters_of(teacher.unet)
    assert inherit(small, teacher.unet) > 0.7 * parameters_of(small)
    stage = CompressionStage(replace(CompressionSettings(), batch=2), teacher)
    assert stage.step(0, 0.0) > 0
    stage.save(tmp_path)
    read = UNet2DConditionModel.from_pretrained(tmp_path, variant="fp16")
    assert parameters_of(read) == parameters_of(small)


def test_a_used_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    code = main(["ssd", "--out", str(tmp_path)])
    said = capsys.readouterr().err
    assert code == 2
    assert "pass --resume" in said or "fonts-noto-color-emoji" in said
