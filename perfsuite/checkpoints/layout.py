"""What a checkpoint in the layout of `save_pretrained` consists of; no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfsuite.checkpoints.files import (
    SAVE_HINT,
    FileMissing,
    Weights,
    digest_bytes,
    digest_config,
    find_weights,
    read_bytes,
    read_json,
    read_shapes,
)
from perfsuite.errors import CheckpointError
from perfsuite.results.method import ComponentDigest, Configuration

_TEXT_ENCODERS = ("CLIPTextModel", "CLIPTextModelWithProjection")
_TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast")
# The classes whose attention, layers and call the tiers know how to change; none: any class.
_NEEDED: dict[str, tuple[str, ...]] = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": _TEXT_ENCODERS,
    "text_encoder_2": _TEXT_ENCODERS,
    "tokenizer": _TOKENIZERS,
    "tokenizer_2": _TOKENIZERS,
    "scheduler": (),
}
_OPTIONAL = ("image_encoder", "feature_extractor")
_CONFIGS = {"scheduler": "scheduler_config.json", "feature_extractor": "preprocessor_config.json"}
_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_SIZE_HINT = "pass the size of the images, --perf-size 1024x1024, or set it: 128 is SDXL's"
_LARGEST_SIDE = 1 << 16
_MULTIPLE = 8
_MOST_BLOCKS = 12


@dataclass(frozen=True)
class Component:
    """One entry of `model_index.json`.

    Attributes:
        name: as the pipeline calls it.
        library: the module that its class is in.
        class_name: its class.
        folder: where its files are.
    """

    name: str
    library: str
    class_name: str
    folder: Path

    @property
    def has_weights(self) -> bool:
        """Whether it is a model."""
        return not self.is_tokenizer and self.name not in _CONFIGS

    @property
    def is_tokenizer(self) -> bool:
        """Whether it is one of the tokenizers."""
        return self.name.startswith("tokenizer")

    def config(self) -> dict[str, Any]:
        """Its config; of a tokenizer, an empty one."""
        if self.is_tokenizer:
            return {}
        return read_json(self.folder / _CONFIGS.get(self.name, "config.json"))

    def weights(self, prefer: str | None = None) -> Weights:
        """The files that its weights are in; see `find_weights`."""
        return find_weights(self.folder, self.library, prefer)

    def check(self, prefer: str | None = None) -> None:
        """See that everything it is loaded from is there and whole.

        Args:
            prefer: variant to take where it exists.

        Raises:
            CheckpointError: it is not.
        """
        if self.is_tokenizer:
            digest_tokenizer(self.folder)
        self.config()
        if self.has_weights:
            read_shapes(self.weights(prefer))


@dataclass(frozen=True)
class Layout:
    """A checkpoint's components.

    Attributes:
        folder: the folder that holds `model_index.json`.
        components: all that the pipeline is made of, the needed ones first.
        index: digest of `model_index.json`.
    """

    folder: Path
    components: tuple[Component, ...]
    index: str

    def __getitem__(self, name: str) -> Component:
        return next(each for each in self.components if each.name == name)

    @property
    def models(self) -> tuple[Component, ...]:
        """Those that have weights."""
        return tuple(each for each in self.components if each.has_weights)

    def check(self, prefer: str | None = None) -> None:
        """See that every component can be loaded, from its headers and configs.

        Args:
            prefer: variant to take where a component has it.

        Raises:
            CheckpointError: one cannot.
        """
        for each in self.components:
            each.check(prefer)
        if any(each.name == "vae" for each in self.components):
            self._pixels_per_latent()

    def native_size(self) -> tuple[int, int]:
        """Height and width, in pixels, of the images that the UNet was made for.

        Raises:
            CheckpointError: its config does not say.
        """
        config = self["unet"].folder / "config.json"
        size = self["unet"].config().get("sample_size")
        sides: list[Any] = size if isinstance(size, list) else [size, size]
        scale = self._pixels_per_latent()
        if len(sides) != 2 or not all(_is_count(side, _LARGEST_SIDE // scale) for side in sides):
            raise CheckpointError(
                f"sample_size in {config} is {str(size)[:40]!r}, no size in latent pixels",
                hint=_SIZE_HINT,
            )
        height, width = (side * scale for side in sides)
        if height % _MULTIPLE or width % _MULTIPLE:
            raise CheckpointError(
                f"sample_size in {config} makes images of {width}x{height} pixels, and SDXL's "
                f"pipeline takes multiples of {_MULTIPLE} only",
                hint=_SIZE_HINT,
            )
        return height, width

    def configuration(self) -> Configuration:
        """Digests of all configs and tokenizers.

        Raises:
            CheckpointError: one cannot be read.
        """
        configs = tuple(
            ComponentDigest(each.name, digest_config({"": each.class_name} | each.config()))
            for each in self.components
            if not each.is_tokenizer
        )
        tokenizers = "".join(
            f"{each.name} {digest_tokenizer(each.folder)} "
            for each in self.components
            if each.is_tokenizer
        )
        return Configuration(
            self["scheduler"].class_name,
            (ComponentDigest("pipeline", self.index), *configs),
            digest_bytes(tokenizers.encode()),
        )

    def _pixels_per_latent(self) -> int:
        channels = self["vae"].config().get("block_out_channels")
        if not isinstance(channels, list) or not 0 < len(channels) <= _MOST_BLOCKS:
            raise CheckpointError(
                f"{self['vae'].folder / 'config.json'} has no block_out_channels, a list of "
                "channels per block of the VAE",
                hint=SAVE_HINT,
            )
        return 1 << (len(channels) - 1)


def read_layout(folder: Path, *, replaced: tuple[str, ...] = ()) -> Layout:
    """Read `model_index.json` and see that it describes a pipeline that can be measured.

    Args:
        folder: in the layout of `save_pretrained`.
        replaced: components that come from elsewhere.

    Raises:
        CheckpointError: it does not.
    """
    index = _read_index(folder)
    needed = [
        _component(folder, index, name, classes)
        for name, classes in _NEEDED.items()
        if name not in replaced
    ]
    optional = [
        _component(folder, index, name, ()) for name in _OPTIONAL if _is_listed(index, name)
    ]
    return Layout(folder, (*needed, *optional), digest_config(index))


def single_file(path: Path) -> CheckpointError:
    """The error that says how a checkpoint in one file becomes a folder."""
    mend = SAVE_HINT
    if path.suffix in (".safetensors", ".ckpt"):
        convert = f'StableDiffusionXLPipeline.from_single_file("{path}").save_pretrained(FOLDER)'
        mend = f"make one with {convert} and pass FOLDER"
    return CheckpointError(f"{path} is a file, not a folder", hint=mend)


def digest_tokenizer(folder: Path) -> str:
    """Twelve hexadecimal digits of everything that a tokenizer is loaded from.

    Raises:
        CheckpointError: a file is missing or cannot be read.
    """
    names = [name for name in _TOKENIZER_FILES if os.path.lexists(folder / name)]
    if "tokenizer.json" not in names and not {"vocab.json", "merges.txt"} <= set(names):
        raise FileMissing(
            f"{folder} holds neither tokenizer.json nor vocab.json with merges.txt", hint=SAVE_HINT
        )
    return digest_bytes(b"".join(_digests(folder, names)))


def _digests(folder: Path, names: list[str]) -> Iterator[bytes]:
    for name in names:
        path = folder / name
        is_json = name.endswith(".json")
        found = digest_config(read_json(path)) if is_json else digest_bytes(read_bytes(path))
        yield f"{name} {found} ".encode()


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / "model_index.json"
    if not os.path.lexists(path):
        files = sorted(folder.glob("*.safetensors"))
        if files:
            raise single_file(files[0])
        raise FileMissing(f"{folder} has no model_index.json", hint=SAVE_HINT)
    index = read_json(path)
    name = index.get("_class_name")
    if not _is_identifier(name):
        raise CheckpointError(f"{path} names no pipeline class (_class_name)", hint=SAVE_HINT)
    if name != "StableDiffusionXLPipeline":
        refiner = name == "StableDiffusionXLImg2ImgPipeline"
        what = "an SDXL refiner or image-to-image pipeline" if refiner else "not SDXL"
        raise CheckpointError(f"{folder} holds a {name}, {what}", hint=SAVE_HINT)
    return index


def _is_identifier(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isidentifier()


def _is_count(value: object, most: int) -> bool:
    return type(value) is int and 0 < value <= most


def _is_listed(index: dict[str, Any], name: str) -> bool:
    return index.get(name) not in (None, [None, None])


def _component(
    folder: Path, index: dict[str, Any], name: str, classes: tuple[str, ...]
) -> Component:
    path = folder / "model_index.json"
    if not _is_listed(index, name):
        refiner = " (a refiner has none: pass the base model)" if name == "text_encoder" else ""
        raise CheckpointError(f"{path} lists no {name}{refiner}", hint=SAVE_HINT)
    entry = index[name]
    if not (isinstance(entry, list) and len(entry) == 2 and all(map(_is_identifier, entry))):
        raise CheckpointError(
            f"{path} lists {name} as {str(entry)[:60]!r}, not as [library, class]", hint=SAVE_HINT
        )
    library, class_name = entry
    if library not in ("diffusers", "transformers"):
        raise CheckpointError(
            f"{path} takes {name} from {library}, whose code perfsuite does not run",
            hint="use a class of diffusers or transformers",
        )
    if classes and class_name not in classes:
        raise CheckpointError(
            f"{folder / name} is of class {class_name}, whose attention the tiers cannot change",
            hint=f"save the pipeline with {classes[0]} as its {name}",
        )
    return Component(name, library, class_name, folder / name)
