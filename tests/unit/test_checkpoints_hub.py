"""The hub's cache in its real layout, and the hub that is not there."""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

import pytest
import torch

from perfsuite.checkpoints import find_checkpoint
from perfsuite.checkpoints.folder import FolderSource
from perfsuite.checkpoints.hub import FP16_VAE, SDXL, HubSource, Repository
from perfsuite.errors import CheckpointError, HubUnreachable
from perfsuite.results.method import differences
from perfsuite.results.reasons import Incomparable

POCKET = Path(find_checkpoint.__code__.co_filename).parent / "pocket"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a hub that does not answer."""
    import huggingface_hub
    from huggingface_hub import constants

    def refuse(*arguments: object, **options: object) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    return tmp_path / "hub"


def store(cache: Path, repository: Repository, source: Path, name: str) -> Path:
    """Put a file where the hub's client puts it: a blob, and a link in the revision's snapshot."""
    folder = cache / f"models--{repository[0].replace('/', '--')}"
    blob = folder / "blobs" / hashlib.sha256(name.encode()).hexdigest()
    link = folder / "snapshots" / repository[1] / name
    for each in (blob, link):
        each.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, blob)
    link.symlink_to(blob)
    return link


@pytest.fixture
def full_cache(cache: Path) -> Path:
    """Pocket under SDXL's name and revision, and its VAE under that of the other VAE."""
    for path in sorted(POCKET.rglob("*")):
        if path.is_file() and path.parent != POCKET / "vae":
            store(cache, SDXL, path, str(path.relative_to(POCKET)).replace(".fp16.", "."))
    for path in sorted((POCKET / "vae").iterdir()):
        store(cache, SDXL, path, f"vae/{path.name.replace('.fp16.', '.')}")
        store(cache, FP16_VAE, path, path.name.replace(".fp16.", "."))
    return cache / f"models--{SDXL[0].replace('/', '--')}" / "snapshots" / SDXL[1]


SOURCES = pytest.mark.parametrize("source", [HubSource(), HubSource(fp16_vae=True)])


@SOURCES
@pytest.mark.usefixtures("cache")
def test_a_hub_that_cannot_be_reached_is_said_within_seconds_with_the_ways_out(
    source: HubSource,
) -> None:
    start = time.monotonic()
    with pytest.raises(
        HubUnreachable, match=r"cannot be reached.*HF_HOME.*sdxl-random.*local folder"
    ):
        source.check()
    assert time.monotonic() - start < 5


@SOURCES
@pytest.mark.usefixtures("full_cache")
def test_a_complete_cache_needs_no_hub(source: HubSource) -> None:
    source.check()


@pytest.mark.usefixtures("libraries", "full_cache")
def test_a_complete_cache_is_loaded_without_the_hub() -> None:
    loaded = HubSource(fp16_vae=True).load(torch.float32, "cpu")
    pocket = FolderSource(POCKET).load(torch.float32, "cpu")
    for name in ("unet", "vae", "text_encoder_2"):
        mine, other = (getattr(each, name).state_dict() for each in (loaded, pocket))
        assert all(torch.equal(mine[key], other[key]) for key in other)


@pytest.mark.parametrize(
    "lost",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "unet/config.json",
        "text_encoder_2/model.safetensors",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer.json",
        "vae/diffusion_pytorch_model.safetensors",
    ],
)
def test_a_cache_that_lacks_one_file_is_not_complete(full_cache: Path, lost: str) -> None:
    (full_cache / lost).unlink()
    with pytest.raises(HubUnreachable, match=lost.partition("/")[0]) as refused:
        HubSource().check()
    assert "\n" not in str(refused.value)


def test_a_cache_that_holds_one_config_is_not_complete(cache: Path) -> None:
    store(cache, SDXL, POCKET / "model_index.json", "model_index.json")
    with pytest.raises(HubUnreachable):
        HubSource().check()


def test_a_link_whose_blob_was_deleted_is_not_complete(full_cache: Path) -> None:
    (full_cache / "unet" / "diffusion_pytorch_model.safetensors").resolve().unlink()
    with pytest.raises(HubUnreachable, match="unet"):
        HubSource().check()


def test_a_cache_of_fp16_alone_is_not_what_is_loaded(full_cache: Path) -> None:
    for name in ("unet/diffusion_pytorch_model", "text_encoder/model", "text_encoder_2/model"):
        path = full_cache / f"{name}.safetensors"
        path.rename(path.with_name(f"{path.stem}.fp16.safetensors"))
    with pytest.raises(HubUnreachable, match="lacks its float32 weights"):
        HubSource().check()


def test_the_other_vae_stands_in_for_the_one_that_is_not_there(full_cache: Path) -> None:
    (full_cache / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    HubSource(fp16_vae=True).check()


def test_a_damaged_file_in_the_cache_is_an_error_of_its_own(full_cache: Path) -> None:
    path = (full_cache / "unet" / "diffusion_pytorch_model.safetensors").resolve()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged or cut short") as refused:
        HubSource().check()
    assert not isinstance(refused.value, HubUnreachable)


def test_the_revisions_are_the_hubs_configuration() -> None:
    plain, fixed = (HubSource(fp16_vae=each).configuration() for each in (False, True))
    assert plain.scheduler == "EulerDiscreteScheduler"
    assert differences(plain, fixed) == [
        Incomparable(f"configuration of {FP16_VAE[0]}", FP16_VAE[1], "none")
    ]
