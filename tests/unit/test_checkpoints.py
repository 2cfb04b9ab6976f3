"""The registry, local folders, the hub that is not there, and random weights of full size."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from perfsuite.checkpoints import (
    checkpoint_names,
    find_checkpoint,
    register_checkpoint,
)
from perfsuite.checkpoints.folder import FolderSource
from perfsuite.checkpoints.hub import SDXL, HubSource
from perfsuite.checkpoints.random import RandomSdxlSource
from perfsuite.errors import CheckpointError
from perfsuite.workload import Workload

POCKET = find_checkpoint("pocket")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert isinstance(POCKET.source, FolderSource)
    return Path(shutil.copytree(POCKET.source.folder, tmp_path / "mine"))


def test_the_registry_has_the_four_that_the_readme_names() -> None:
    assert {"pocket", "sdxl", "sdxl-fp16-vae", "sdxl-random"} <= set(checkpoint_names())


def test_the_tutorials_prompt_comes_first() -> None:
    first = next(POCKET.quality.shots())
    expected = "Astronaut in a jungle, cold color palette, muted colors, detailed, 8k"
    assert first.prompt == expected
    assert len(tuple(POCKET.quality.shots())) == 12


def test_a_name_cannot_be_registered_twice() -> None:
    with pytest.raises(CheckpointError, match="registered already"):
        register_checkpoint(POCKET)


def test_a_local_folder_is_a_checkpoint_of_its_own_size(folder: Path) -> None:
    checkpoint = find_checkpoint(str(folder))
    assert checkpoint.name == "mine"
    assert (checkpoint.latency.height, checkpoint.latency.width) == (64, 64)
    assert checkpoint.source.identity() == POCKET.source.identity()


def test_changed_weights_change_the_identity(folder: Path) -> None:
    weights = next((folder / "vae").glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert find_checkpoint(str(folder)).source.identity() != POCKET.source.identity()


@pytest.mark.usefixtures("libraries")
def test_pocket_loads_in_the_dtype_that_is_asked_for() -> None:
    pipeline = POCKET.source.load(torch.bfloat16, "cpu")
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        assert next(getattr(pipeline, name).parameters()).dtype is torch.bfloat16
    assert pipeline.unet.config.addition_embed_type == "text_time"


def test_revisions_are_pinned_by_commit() -> None:
    assert HubSource(fp16_vae=True).identity().count("@") == 2
    assert len(SDXL[1]) == 40


@pytest.mark.slow
@pytest.mark.usefixtures("libraries", "one_thread")
def test_full_size_random_sdxl_takes_a_step_in_every_eager_tier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import dataclasses

    from perfsuite.device import CpuDevice
    from perfsuite.images.generate import generate
    from perfsuite.ladder import build_tier, find_tiers

    torch.set_num_threads(2)
    work = Workload(("A fox",), (0,), 1, 5.0, 512, 512)
    checkpoint = dataclasses.replace(find_checkpoint("sdxl-random"), quality=work)
    for tier in find_tiers(["bf16", "sdpa"]):
        with build_tier(tier, checkpoint, CpuDevice()) as built:
            parameters = sum(each.numel() for each in built.pipeline.unet.parameters())
            image = generate(built.pipeline, work, next(work.shots()))
        assert 2.5e9 < parameters < 2.6e9
        assert image.pixels.shape == (512, 512, 3)
        assert image.latents.std() > 0


def test_random_weights_are_named_by_their_seed() -> None:
    assert RandomSdxlSource(3).identity() == "random weights 2, seed 3"
