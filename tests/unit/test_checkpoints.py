"""The registry, local folders, the hub that is not there, and random weights of full size."""

from __future__ import annotations

import json
import shutil
import time
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
from perfsuite.errors import CheckpointError, HubUnreachable
from perfsuite.workload import Workload

POCKET = find_checkpoint("pocket")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert isinstance(POCKET.source, FolderSource)
    return Path(shutil.copytree(POCKET.source.folder, tmp_path / "mine"))


def test_the_registry_has_the_four_that_the_readme_names() -> None:
    assert checkpoint_names()[:4] == ("pocket", "sdxl", "sdxl-fp16-vae", "sdxl-random")


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


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "model_index.json").unlink(), "has no model_index.json"),
        (lambda folder: (folder / "model_index.json").write_text("{"), "cannot be read"),
        (
            lambda folder: (folder / "model_index.json").write_text(
                json.dumps({"_class_name": "FluxPipeline"})
            ),
            "holds a FluxPipeline, not SDXL",
        ),
        (lambda folder: shutil.rmtree(folder / "unet"), "unet holds no safetensors weights"),
    ],
    ids=["no index", "broken index", "other pipeline", "no weights"],
)
def test_a_folder_that_is_no_checkpoint_is_refused(
    folder: Path, break_it: object, message: str
) -> None:
    break_it(folder)  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=message):
        find_checkpoint(str(folder)).source.check()


def test_pickled_weights_are_not_loaded(folder: Path) -> None:
    for weights in (folder / "unet").glob("*.safetensors"):
        weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(CheckpointError, match="no safetensors"):
        find_checkpoint(str(folder)).source.check()


@pytest.mark.usefixtures("libraries")
def test_pocket_loads_in_the_dtype_that_is_asked_for() -> None:
    pipeline = POCKET.source.load(torch.bfloat16, "cpu")
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        assert next(getattr(pipeline, name).parameters()).dtype is torch.bfloat16
    assert pipeline.unet.config.addition_embed_type == "text_time"


@pytest.mark.parametrize("source", [HubSource(), HubSource(fp16_vae=True)])
def test_a_hub_that_cannot_be_reached_is_said_within_seconds_with_the_ways_out(
    source: HubSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub

    def refuse(*arguments: object, **options: object) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a, **k: None)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    start = time.monotonic()
    with pytest.raises(HubUnreachable, match=r"cannot be reached.*sdxl-random.*local folder"):
        source.check()
    assert time.monotonic() - start < 5


def test_a_revision_in_the_cache_needs_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[object] = []

    def cached(repository: str, name: str, revision: str) -> str | None:
        asked.append((repository, revision))
        return "/cache/model_index.json" if name == "model_index.json" else None

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    HubSource().check()
    assert asked == [SDXL]


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
    assert RandomSdxlSource(3).identity() == "random weights, seed 3"
