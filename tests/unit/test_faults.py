"""The catalogue of planted faults: its rows, and that every patch is taken back."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from perfsuite.checkpoints import find_checkpoint
from perfsuite.device import CpuDevice
from perfsuite.images.generate import generate
from perfsuite.ladder import BuiltTier, build_tier
from perfsuite.selftest import patches
from perfsuite.selftest.quality import damage
from perfsuite.selftest.quality.fault import Fault, Stage
from perfsuite.selftest.quality.faults import FAULTS, HARMLESS
from perfsuite.selftest.quality.trial import quantised_tier
from tests.unit.toy_family import StableDiffusionXLPipeline

PLANTED = [fault for fault in FAULTS if fault.stage is not Stage.LAYERS]
# These do their harm at a step that two steps do not have.
LATE = ("middle step skipped", "one UNet output repeated", "one step fewer")


def test_names_are_unique_and_every_row_says_what_it_imitates() -> None:
    names = [fault.name for fault in (*FAULTS, *HARMLESS)]
    assert len(set(names)) == len(names)
    assert all(fault.imitates for fault in FAULTS)


def test_the_faults_that_were_asked_for_are_there() -> None:
    assert len(FAULTS) >= 16 + 5
    said = " ".join(fault.name for fault in FAULTS)
    for part in (
        "scale 5 %", "head zeroed", "mask", "Q and K", "int8 scale 2 %", "4 bits", "1e-1",
        "factor 2 %", "step skipped", "5.0 -> 5.5", "encoder 2 dropped", "last sigma",
        "red and blue", "wrong seed", "NaN in one", "fp16 overflow",
    ):  # fmt: skip
        assert part in said, part


def test_every_planted_fault_has_a_stage_and_no_harmless_change_has() -> None:
    assert all(fault.stage is not None for fault in FAULTS)
    assert all(fault.stage is None for fault in HARMLESS)


def test_sources_are_reports_on_github() -> None:
    for fault in FAULTS:
        if fault.source is not None:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", fault.source), fault.source
            assert fault.url is not None
            assert fault.url.startswith("https://github.com/")
    assert sum(1 for fault in FAULTS if fault.source) >= 20


def test_an_attribute_is_put_back_even_after_an_error() -> None:
    owner = SimpleNamespace(known=1)
    with pytest.raises(ZeroDivisionError), patches.replaced(owner, "known", 0):
        print(1 / owner.known)
    with patches.replaced(owner, "fresh", 3):
        assert owner.fresh == 3
    assert vars(owner) == {"known": 1}


def test_weights_get_their_numbers_back() -> None:
    weight = torch.arange(4.0)
    with patches.edited(weight, lambda values: values.mul_(2)):
        assert weight[3] == 6
    assert weight[3] == 3


def test_a_hook_changes_the_output_and_goes_away() -> None:
    layer = nn.Linear(2, 2)
    inputs = torch.ones(1, 2)
    before = layer(inputs)
    with patches.hooked(layer, torch.zeros_like):
        assert not layer(inputs).any()
    with patches.input_changed(layer, torch.zeros_like):
        assert torch.equal(layer(inputs)[0], layer.bias)
    assert torch.equal(layer(inputs), before)


def test_attention_is_restored() -> None:
    original = F.scaled_dot_product_attention
    pipeline = StableDiffusionXLPipeline(unet=nn.Identity())
    with damage.scale_attention(2.0)(pipeline):
        assert F.scaled_dot_product_attention is not original
    assert F.scaled_dot_product_attention is original


def test_four_bits_leave_sixteen_levels() -> None:
    codes = torch.arange(-128, 128, dtype=torch.int16).to(torch.int8)
    damage.to_four_bits(codes)
    assert len(set(codes.tolist())) == 16


def test_neighbours_change_places() -> None:
    codes = torch.tensor([[1, 2, 3, 4]], dtype=torch.int8)
    damage.swap_neighbours(codes)
    assert codes.tolist() == [[2, 1, 4, 3]]


@pytest.fixture(scope="module")
def exact() -> Iterator[BuiltTier]:
    """All exact changes of the ladder in fp32, run eagerly, two steps of one image."""
    pocket = find_checkpoint("pocket")
    work = dataclasses.replace(
        pocket.quality, prompts=pocket.quality.prompts[:1], seeds=(0,), steps=2
    )
    checkpoint = dataclasses.replace(pocket, quality=work)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with (
        torch.compiler.set_stance("force_eager"),
        build_tier(quantised_tier(), checkpoint, CpuDevice(), exact_only=True) as built,
    ):
        yield built
    torch.set_num_threads(before)


def picture(built: BuiltTier, batch_size: int = 1) -> Any:
    work = dataclasses.replace(built.quality, batch_size=batch_size)
    return generate(built.pipeline, work, next(work.shots()))


@pytest.mark.slow
@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_a_fault_changes_the_picture_and_is_taken_back(exact: BuiltTier, fault: Fault) -> None:
    healthy = picture(exact, fault.batch_size)
    with contextlib.suppress(RuntimeError), fault.patch(exact.pipeline):
        harmed = picture(exact, fault.batch_size)
        same = harmed.pixels.shape == healthy.pixels.shape and np.array_equal(
            harmed.pixels, healthy.pixels
        )
        assert fault.name in LATE or not same or not harmed.finite
    assert np.array_equal(picture(exact, fault.batch_size).pixels, healthy.pixels)


@pytest.mark.slow
@pytest.mark.parametrize("change", HARMLESS, ids=lambda fault: fault.name)
def test_a_harmless_change_is_taken_back(exact: BuiltTier, change: Fault) -> None:
    healthy = picture(exact)
    with change.patch(exact.pipeline):
        moved = picture(exact)
    assert np.abs(moved.pixels - healthy.pixels).max() < 1e-3
    assert np.array_equal(picture(exact).pixels, healthy.pixels)
