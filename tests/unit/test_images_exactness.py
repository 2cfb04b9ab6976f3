"""The exactness stage at a reduced size: the same operators, fewer rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from perfsuite.checkpoints import find_checkpoint
from perfsuite.counters.operators import OperatorCounter
from perfsuite.images.exactness import FULL, REDUCED, exactness_workload
from perfsuite.workload import Workload


def workload(width: int, height: int, steps: int = 30) -> Workload:
    return Workload(("a fox",), (0,), steps, 5.0, height, width)


@pytest.mark.parametrize(
    ("size", "reduced", "steps"),
    [
        ((1024, 1024), (512, 512), 4),
        ((1024, 768), (512, 384), 4),
        ((2048, 1024), (512, 256), 4),
        ((64, 64), (64, 64), 30),
        ((512, 512), (512, 512), 30),
        ((1000, 1000), (1000, 1000), 30),
    ],
)
def test_large_images_are_halved_until_they_are_small_and_small_ones_stay(
    size: tuple[int, int], reduced: tuple[int, int], steps: int
) -> None:
    found = exactness_workload(workload(*size), REDUCED)
    assert ((found.width, found.height), found.steps) == (reduced, steps)


def test_full_is_the_quality_workload_itself() -> None:
    assert exactness_workload(workload(1024, 1024), FULL) == workload(1024, 1024)


def calls_of(unet: Any, vae: Any, size: int) -> Mapping[str, Mapping[str, int]]:
    """Operators of one denoising step and of decoding, by layer, on the meta device."""
    latents = torch.empty(2, 4, size // 8, size // 8, device="meta")
    config = unet.config
    pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    added = {
        "text_embeds": torch.empty(2, pooled, device="meta"),
        "time_ids": torch.empty(2, 6, device="meta"),
    }
    text = torch.empty(2, 77, config.cross_attention_dim, device="meta")
    with torch.no_grad(), OperatorCounter({"unet": unet, "vae": vae}, device="meta") as counter:
        unet(latents, torch.empty(1, device="meta"), text, added_cond_kwargs=added)
        vae.decode(latents[:1])
    return counter.take().calls


@pytest.mark.usefixtures("libraries")
def test_every_layer_of_sdxl_calls_the_same_operators_at_the_reduced_size() -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    from perfsuite.checkpoints.random import _UNET, _VAE

    quality = find_checkpoint("sdxl-random").quality
    reduced = exactness_workload(quality, REDUCED)
    assert reduced.height < quality.height
    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**_UNET), AutoencoderKL(**_VAE)
    full, small = (calls_of(unet, vae, each.height) for each in (quality, reduced))
    assert sum(sum(layer.values()) for layer in full.values()) > 1000
    assert small == full
