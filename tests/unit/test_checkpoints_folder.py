"""Checkpoints as people have them in folders: damaged, sharded, mixed, incomplete."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from perfsuite.checkpoints import find_checkpoint
from perfsuite.checkpoints.folder import FolderSource, load_model
from perfsuite.checkpoints.layout import read_layout
from perfsuite.errors import CheckpointError, SettingsError
from perfsuite.ladder import describe_weights, find_tiers
from perfsuite.report.messages import say
from perfsuite.results.method import differences
from perfsuite.settings import resolve_settings

POCKET = Path(find_checkpoint.__code__.co_filename).parent / "pocket"
UNET = "unet/diffusion_pytorch_model.fp16.safetensors"
VAE = "vae/diffusion_pytorch_model.fp16.safetensors"
TEXT = "text_encoder/model.fp16.safetensors"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 11426408\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(POCKET, tmp_path / "mine"))


def edit(path: Path, **changes: Any) -> None:
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: each for key, each in config.items() if each != "absent"}))


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("gone"))


Damage = Callable[[Path], object]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "no index": (lambda f: (f / "model_index.json").unlink(), "has no model_index.json"),
    "index cut": (lambda f: cut(f / "model_index.json", 0.5), "model_index.json is not JSON"),
    "index is a list": (
        lambda f: (f / "model_index.json").write_text("[]"),
        "model_index.json holds no JSON object",
    ),
    "index in UTF-16": (
        lambda f: (f / "model_index.json").write_text("{}", encoding="utf-16"),
        "model_index.json is not JSON",
    ),
    "index without class": (
        lambda f: (f / "model_index.json").write_text("{}"),
        "names no pipeline class",
    ),
    "pipeline of the folder's own code": (
        lambda f: edit(f / "model_index.json", _class_name=["mine", "Mine"]),
        "names no pipeline class",
    ),
    "other pipeline": (
        lambda f: edit(f / "model_index.json", _class_name="FluxPipeline"),
        "holds a FluxPipeline, not SDXL",
    ),
    "refiner": (
        lambda f: edit(f / "model_index.json", _class_name="StableDiffusionXLImg2ImgPipeline"),
        "Img2ImgPipeline, an SDXL refiner or image-to-image pipeline",
    ),
    "refiner as text to image": (
        lambda f: edit(f / "model_index.json", text_encoder=[None, None]),
        r"lists no text_encoder \(a refiner has none: pass the base model\)",
    ),
    "component not listed": (
        lambda f: edit(f / "model_index.json", scheduler="absent"),
        "model_index.json lists no scheduler",
    ),
    "component of a wrong type": (
        lambda f: edit(f / "model_index.json", unet="UNet2DConditionModel"),
        "lists unet as 'UNet2DConditionModel', not as",
    ),
    "component of other code": (
        lambda f: edit(f / "model_index.json", unet=["my_unet", "MyUnet"]),
        "takes unet from my_unet, whose code perfsuite does not run",
    ),
    "tiny VAE": (
        lambda f: edit(f / "model_index.json", vae=["diffusers", "AutoencoderTiny"]),
        "vae is of class AutoencoderTiny, .*AutoencoderKL as its vae",
    ),
    "no folder": (lambda f: shutil.rmtree(f / "unet"), "unet/config.json is missing"),
    "a file in place of a folder": (
        lambda f: (f / "unet").rename(f / "elsewhere") and (f / "unet").write_text(""),
        "unet/config.json is missing",
    ),
    "no config": (
        lambda f: (f / "text_encoder_2" / "config.json").unlink(),
        "text_encoder_2/config.json is missing",
    ),
    "no scheduler config": (
        lambda f: (f / "scheduler" / "scheduler_config.json").unlink(),
        "scheduler/scheduler_config.json is missing",
    ),
    "no tokenizer": (
        lambda f: (f / "tokenizer_2" / "tokenizer.json").unlink(),
        "tokenizer_2 holds neither tokenizer.json nor vocab.json with merges.txt",
    ),
    "tokenizer cut": (
        lambda f: cut(f / "tokenizer" / "tokenizer.json", 0.9),
        "tokenizer/tokenizer.json is not JSON",
    ),
    "tokenizer is a pointer": (
        lambda f: (f / "tokenizer" / "tokenizer.json").write_text(POINTER),
        "tokenizer.json is a pointer of Git LFS.*git lfs pull",
    ),
    "an optional component without its folder": (
        lambda f: edit(
            f / "model_index.json", image_encoder=["transformers", "CLIPVisionModelWithProjection"]
        ),
        "image_encoder/config.json is missing",
    ),
    "no blocks in the VAE": (
        lambda f: edit(f / "vae" / "config.json", block_out_channels="absent"),
        "vae/config.json has no block_out_channels",
    ),
    "blocks of the VAE are a number": (
        lambda f: edit(f / "vae" / "config.json", block_out_channels=3),
        "vae/config.json has no block_out_channels",
    ),
    "size is null": (
        lambda f: edit(f / "unet" / "config.json", sample_size=None),
        "sample_size in .*unet/config.json is 'None'.*--perf-size 1024x1024",
    ),
    "size is missing": (
        lambda f: edit(f / "unet" / "config.json", sample_size="absent"),
        "sample_size in .*unet/config.json is 'None'.*--perf-size",
    ),
    "size is three numbers": (
        lambda f: edit(f / "unet" / "config.json", sample_size=[16, 16, 16]),
        "sample_size",
    ),
    "size is a text": (
        lambda f: edit(f / "unet" / "config.json", sample_size="16"),
        "sample_size",
    ),
    "size is true": (lambda f: edit(f / "unet" / "config.json", sample_size=True), "sample_size"),
    "size is nought": (lambda f: edit(f / "unet" / "config.json", sample_size=0), "sample_size"),
    "size is out of this world": (
        lambda f: edit(f / "unet" / "config.json", sample_size=10**30),
        "sample_size",
    ),
    "size between the pipeline's": (
        lambda f: edit(f / "unet" / "config.json", sample_size=[16, 17]),
        "images of 68x64 pixels, .* multiples of 8 only",
    ),
    "weights are a pointer": (
        lambda f: (f / UNET).write_text(POINTER),
        "unet/.*safetensors is a pointer of Git LFS.*git lfs pull",
    ),
    "weights of the second text encoder are a pointer": (
        lambda f: (f / "text_encoder_2" / "model.fp16.safetensors").write_text(POINTER),
        "text_encoder_2/.*safetensors is a pointer of Git LFS",
    ),
    "half the weights": (lambda f: cut(f / UNET, 0.5), "damaged or cut short"),
    "half a header": (lambda f: cut(f / VAE, 0.001), "damaged or cut short"),
    "last byte lost": (lambda f: cut(f / TEXT, 1 - 1e-6), "damaged or cut short"),
    "empty weights": (lambda f: (f / VAE).write_bytes(b""), r"\(0 bytes\) is damaged"),
    "a page of HTML": (
        lambda f: (f / VAE).write_text("<!DOCTYPE html><html>404</html>"),
        "damaged or cut short",
    ),
    "no tensors": (
        lambda f: (f / VAE).write_bytes(b"\2\0\0\0\0\0\0\0{}"),
        "vae/.*safetensors holds no tensors",
    ),
    "no weights": (lambda f: (f / UNET).unlink(), "unet holds no safetensors weights"),
    "a link to nowhere": (
        lambda f: dangle(f / UNET),
        "unet/.*safetensors is missing",
    ),
    "pickled weights only": (
        lambda f: (f / UNET).rename(f / "unet" / "diffusion_pytorch_model.bin"),
        "no safetensors weights, only pickled ones .*safe_serialization=True",
    ),
    "a shard without index": (
        lambda f: (f / UNET).rename(
            f / "unet" / "diffusion_pytorch_model-00001-of-00002.safetensors"
        ),
        "holds the shard diffusion_pytorch_model-00001-of-00002.safetensors without an index",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_folder_that_cannot_be_measured_is_refused_in_one_line(
    folder: Path, damage: Damage, message: str
) -> None:
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as refused:
        find_checkpoint(str(folder)).source.check()
    assert "\n" not in str(refused.value)
    assert refused.value.hint


@pytest.mark.parametrize("size", [[16, 24], 16])
def test_a_size_of_two_numbers_is_height_and_width(folder: Path, size: object) -> None:
    edit(folder / "unet" / "config.json", sample_size=size)
    work = find_checkpoint(str(folder)).latency
    assert (work.height, work.width) == (64, 64 if size == 16 else 96)


def test_images_smaller_than_ssims_window_are_refused_before_measuring(folder: Path) -> None:
    from perfsuite.session.preflight import find_references

    edit(folder / "unet" / "config.json", sample_size=2)
    settings = resolve_settings({"checkpoint": str(folder)}, folder)
    small = find_checkpoint(str(folder))
    tiers = find_tiers(["fp32"])
    weights = describe_weights(tiers, small)[None]
    with pytest.raises(SettingsError, match=r"8x8 pixels are smaller than SSIM's window of 11"):
        find_references(settings, "key", small, weights, small.workloads())


@pytest.mark.parametrize("inside", [False, True])
def test_a_checkpoint_in_one_file_is_told_how_it_becomes_a_folder(
    tmp_path: Path, inside: bool
) -> None:
    file = tmp_path / "sd_xl_base_1.0.safetensors"
    shutil.copy(POCKET / UNET, file)
    with pytest.raises(CheckpointError, match=r"from_single_file\(.*\).save_pretrained\(FOLDER\)"):
        find_checkpoint(str(tmp_path if inside else file))


@pytest.mark.parametrize("wish", ["no-such", "~nobody/x", "a\0b", "x" * 5000, ""])
def test_what_is_neither_name_nor_folder_is_refused(wish: str) -> None:
    with pytest.raises(CheckpointError):
        find_checkpoint(wish)


# Real loading: what people have is saved by the libraries themselves.


def resaved(folder: Path, name: str, **options: Any) -> None:
    """Save a component of pocket again, in place of what the folder holds of it."""
    with_weights = read_layout(folder)[name]
    model = load_model(with_weights, torch.float32)
    for old in with_weights.folder.glob("*.safetensors"):
        old.unlink()
    model.save_pretrained(with_weights.folder, **options)


def same(folder: Path) -> bool:
    mine = FolderSource(folder).load(torch.float32, "cpu")
    pocket = FolderSource(POCKET).load(torch.float32, "cpu")
    return all(
        torch.equal(one, other)
        for name in ("unet", "vae", "text_encoder", "text_encoder_2")
        for one, other in zip(
            getattr(mine, name).state_dict().values(),
            getattr(pocket, name).state_dict().values(),
            strict=True,
        )
    )


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize("variant", [None, "fp16"])
def test_sharded_weights_load_as_the_whole_ones_do(folder: Path, variant: str | None) -> None:
    resaved(folder, "unet", variant=variant, max_shard_size="10MB")
    resaved(folder, "text_encoder", variant=variant, max_shard_size="200KB")
    names = {path.name for path in folder.glob("*/*")}
    infix = ".fp16" if variant else ""
    assert f"diffusion_pytorch_model{infix}-00002-of-00003.safetensors" in names
    assert any(name.startswith(f"model{infix}-00001-of-") for name in names)
    find_checkpoint(str(folder)).source.check()
    assert same(folder)


@pytest.mark.usefixtures("libraries")
def test_fp16_in_one_component_only_loads(folder: Path) -> None:
    for name in ("vae", "text_encoder", "text_encoder_2"):
        resaved(folder, name)
    (folder / "unet" / "LICENSE").write_text("a file without a dot in its name")
    assert {path.name for path in folder.glob("*/*.fp16.*")} == {Path(UNET).name}
    find_checkpoint(str(folder)).source.check()
    assert same(folder)


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda unet: (unet / "x-00002-of-00003.safetensors").unlink(), "which .* lists, is miss"),
        (lambda unet: cut(unet / "x-00003-of-00003.safetensors", 0.9), "cut short"),
        (
            lambda unet: shutil.copy(
                unet / "x-00001-of-00003.safetensors", unet / "x-00002-of-00003.safetensors"
            ),
            "x-00002-of-00003.safetensors lacks the tensor",
        ),
        (lambda unet: edit(unet / "x.safetensors.index.json", weight_map=[]), "no weight_map"),
        (
            lambda unet: edit(unet / "x.safetensors.index.json", weight_map={"a": "../x"}),
            "lists '../x', which is no safetensors file beside it",
        ),
    ],
    ids=["lost", "cut", "swapped", "no map", "outside"],
)
def test_shards_are_held_against_their_index(folder: Path, damage: Damage, message: str) -> None:
    resaved(folder, "unet", max_shard_size="10MB")
    stem = "diffusion_pytorch_model"
    for path in (folder / "unet").glob(f"{stem}*"):
        path.rename(path.with_name(path.name.replace(stem, "x")))
    damage(folder / "unet")
    for path in (folder / "unet").glob("x*"):
        path.rename(path.with_name(path.name.replace("x", stem, 1)))
    with pytest.raises(CheckpointError, match=message.replace("x-0", f"{stem}-0")):
        find_checkpoint(str(folder)).source.check()


@pytest.mark.usefixtures("libraries")
def test_tensors_that_the_weights_lack_are_never_drawn_at_random(folder: Path) -> None:
    edit(folder / "text_encoder" / "config.json", num_hidden_layers=3)
    with pytest.raises(CheckpointError, match=r"text_encoder lack \d+ tensors .*layers\.2\."):
        FolderSource(folder).load(torch.float32, "cpu")


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "unet",
            {"block_out_channels": [64, 96, 160]},
            r"makes \S+ \[.*\], and the weights beside",
        ),
        ("unet", {"block_out_channels": "absent"}, "makes no UNet2DConditionModel"),
        ("vae", {"norm_num_groups": 7}, r"makes no AutoencoderKL \(ValueError: "),
        ("vae", {"latent_channels": "four"}, "makes no AutoencoderKL"),
        ("unet", {"layers_per_block": 10**12}, "asks for more layers than"),
        ("text_encoder", {"num_hidden_layers": 3}, r"asks for \d+ weights, and the files"),
        ("text_encoder_2", {"vocab_size": 49408}, r"makes .*\[49408, 64\], .* hold \[642, 64\]"),
        ("text_encoder_2", {"hidden_size": -1}, "makes no CLIPTextModelWithProjection"),
    ],
)
def test_a_config_that_does_not_describe_its_weights_is_refused_before_they_are_loaded(
    folder: Path, name: str, changes: dict[str, Any], message: str
) -> None:
    edit(folder / name / "config.json", **changes)
    with pytest.raises(CheckpointError, match=f"{name}/config.json.*{message}") as refused:
        FolderSource(folder).check()
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("libraries")
def test_what_the_libraries_refuse_to_load_names_the_folder(folder: Path) -> None:
    edit(folder / "scheduler" / "scheduler_config.json", beta_schedule="upwards")
    with pytest.raises(CheckpointError, match=r"mine does not load \(NotImpl") as refused:
        FolderSource(folder).load(torch.float32, "cpu")
    assert "\n" not in str(refused.value)


# What tells one checkpoint from another.


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda f: edit(f / "scheduler/scheduler_config.json", timestep_spacing="trailing"), "sch"),
        (lambda f: edit(f / "scheduler/scheduler_config.json", _class_name="DDIM"), "scheduler"),
        (
            lambda f: edit(f / "model_index.json", scheduler=["diffusers", "DDIMScheduler"]),
            "scheduler DDIMScheduler does not compare with the baseline's EulerDiscreteScheduler",
        ),
        (lambda f: edit(f / "vae/config.json", scaling_factor=0.13), "configuration of vae"),
        (lambda f: edit(f / "text_encoder/config.json", hidden_act="gelu"), "text_encoder"),
        (
            lambda f: edit(f / "model_index.json", force_zeros_for_empty_prompt=False),
            "configuration of pipeline",
        ),
        (
            lambda f: edit(f / "tokenizer_2/tokenizer_config.json", model_max_length=60),
            "tokenizers",
        ),
    ],
)
def test_a_changed_config_beside_the_same_weights_is_named(
    folder: Path, change: Damage, difference: str
) -> None:
    before = FolderSource(folder)
    was = before.configuration()
    change(folder)
    (found, *_) = differences(was, FolderSource(folder).configuration())
    assert difference in say(found)
    assert before.identity() == FolderSource(POCKET).identity()


def test_who_saved_a_folder_does_not_tell_it_from_others(folder: Path) -> None:
    edit(folder / "model_index.json", _diffusers_version="9.0", _name_or_path="/somewhere")
    edit(folder / "unet/config.json", _diffusers_version="9.0")
    edit(folder / "text_encoder/config.json", transformers_version="9.0", dtype="float16")
    found = FolderSource(folder).configuration()
    assert found == FolderSource(POCKET).configuration()
    assert differences(FolderSource(POCKET).configuration(), found) == []


def test_pockets_identity_is_the_one_that_stored_references_hold() -> None:
    assert FolderSource(POCKET).identity() == "sha256:4ca5ad428fe0"
