"""Files of a checkpoint, read as far as it takes to know whether they can be loaded.

Of weights only the safetensors header is read; safetensors itself holds its offsets against the
size of the file. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from perfsuite.errors import CheckpointError, head_of

SAVE_HINT = "pass a folder made by StableDiffusionXLPipeline.save_pretrained"
COPY_HINT = "copy or download the file again"

_POINTER = b"version https://git-lfs"
_SHARD = r"-\d{5}-of-\d{5}"
# What the libraries write on saving, and what has no effect on a pipeline loaded with a dtype.
_UNIMPORTANT = ("transformers_version", "dtype", "torch_dtype", "name_or_path")


class FileMissing(CheckpointError):
    """A file that loading needs is not there."""


@dataclass(frozen=True)
class Weights:
    """Weights of one component.

    Attributes:
        variant: what diffusers and transformers call the infix of their names, as in `fp16`.
        files: one file, or all shards.
        index: the file that lists the shards' tensors; None if there is one file.
    """

    variant: str | None
    files: tuple[Path, ...]
    index: Path | None = None


def read_bytes(path: Path) -> bytes:
    """Content of a small file.

    Raises:
        CheckpointError: it is missing, cannot be read, or is a pointer of Git LFS.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise FileMissing(f"{path} is missing", hint=SAVE_HINT) from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})", hint=COPY_HINT) from None
    _refuse_pointer(path, content)
    return content


def read_json(path: Path) -> dict[str, Any]:
    """Content of a config.

    Raises:
        CheckpointError: as `read_bytes`, or it is no JSON object.
    """
    content = read_bytes(path)
    try:
        config = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON ({error})", hint=COPY_HINT) from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds no JSON object", hint=SAVE_HINT)
    return config


def digest_config(config: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits of a config; who saved it, and from where, does not count."""
    kept = {
        key: value
        for key, value in config.items()
        if key == "_class_name" or not (key.startswith("_") or key in _UNIMPORTANT)
    }
    return digest_bytes(json.dumps(kept, sort_keys=True).encode())


def digest_bytes(content: bytes) -> str:
    """First twelve hexadecimal digits of SHA-256."""
    return hashlib.sha256(content).hexdigest()[:12]


def find_weights(folder: Path, library: str, prefer: str | None = None) -> Weights:
    """The safetensors weights that a component is loaded from.

    The preferred variant comes first, then the plain files, `fp16`, and any other.

    Args:
        folder: of the component.
        library: `diffusers` or `transformers`; they name their files differently.
        prefer: variant that is wanted where it exists.

    Raises:
        CheckpointError: there are none, or an index cannot be read or names a missing shard.
    """
    stem = "diffusion_pytorch_model" if library == "diffusers" else "model"
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        raise FileMissing(f"{folder} is missing", hint=SAVE_HINT) from None
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be read ({error.strerror})", hint="correct its permissions"
        ) from None
    pattern = re.compile(rf"{stem}\.([^.]+?)(?:{_SHARD})?\.safetensors")
    others = [match[1] for match in map(pattern.fullmatch, names) if match]
    for variant in dict.fromkeys((prefer, None, "fp16", *others)):
        infix = f".{variant}" if variant else ""
        single, index = f"{stem}{infix}.safetensors", f"{stem}.safetensors.index{infix}.json"
        # Where both lie side by side, diffusers takes the shards and transformers the one file.
        first = index if library == "diffusers" and index in names else single
        if first in names or index in names:
            return _weights(folder, variant, first if first in names else index)
    raise _no_weights(folder, names)


def read_shapes(weights: Weights) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor, from the headers of all files.

    Raises:
        CheckpointError: a file is missing, cut short, damaged, a pointer of Git LFS, or lacks a
            tensor that the index promises.
    """
    held = {path.name: _shapes(path) for path in weights.files}
    promised = _weight_map(weights.index) if weights.index else {}
    for tensor, name in promised.items():
        if tensor not in held[name]:
            raise CheckpointError(
                f"{weights.files[0].with_name(name)} lacks the tensor {tensor!r}, "
                "which the index lists",
                hint=COPY_HINT,
            )
    return {tensor: shape for each in held.values() for tensor, shape in each.items()}


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with path.open("rb") as file:
            _refuse_pointer(path, file.read(len(_POINTER)))
        with safe_open(path, framework="numpy") as header:
            shapes = {each: tuple(header.get_slice(each).get_shape()) for each in header.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise FileMissing(f"{path} is missing", hint=SAVE_HINT) from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} ({_size(path)} bytes) is damaged or cut short ({head_of(error)})",
            hint=COPY_HINT,
        ) from None
    if not shapes:
        raise CheckpointError(f"{path} holds no tensors", hint=COPY_HINT)
    return shapes


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _refuse_pointer(path: Path, content: bytes) -> None:
    if content.startswith(_POINTER):
        raise CheckpointError(
            f"{path} is a pointer of Git LFS, not the file itself",
            hint=f"git lfs pull in {path.parent}",
        )


def _weights(folder: Path, variant: str | None, name: str) -> Weights:
    path = folder / name
    if not name.endswith(".json"):
        return Weights(variant, (path,))
    shards = tuple(path.with_name(shard) for shard in sorted(set(_weight_map(path).values())))
    for shard in shards:
        if not os.path.isfile(shard):
            raise FileMissing(f"{shard}, which {name} lists, is missing", hint=COPY_HINT)
    return Weights(variant, shards, path)


def _weight_map(index: Path) -> dict[str, str]:
    found = read_json(index).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise CheckpointError(f"{index} has no weight_map", hint=COPY_HINT)
    for shard in found.values():
        if not isinstance(shard, str) or not re.fullmatch(r"[\w.-]+\.safetensors", shard):
            raise CheckpointError(
                f"{index} lists {shard!r}, which is no safetensors file beside it", hint=SAVE_HINT
            )
    return found


def _no_weights(folder: Path, names: list[str]) -> CheckpointError:
    sharded = [name for name in names if re.search(rf"{_SHARD}.*\.safetensors$", name)]
    pickled = [name for name in names if name.endswith((".bin", ".ckpt", ".pt", ".pth"))]
    if sharded:
        return FileMissing(
            f"{folder} holds the shard {sharded[0]} without an index that diffusers knows",
            hint="copy the file *.safetensors.index.json too, or save the pipeline again",
        )
    if pickled:
        return FileMissing(
            f"{folder} holds no safetensors weights, only pickled ones ({pickled[0]})",
            hint="save them again: pipeline.save_pretrained(FOLDER, safe_serialization=True)",
        )
    return FileMissing(f"{folder} holds no safetensors weights", hint=SAVE_HINT)
