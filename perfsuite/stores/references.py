"""Stored fp32 images and latents, and where they came from.

A folder holds one lossless PNG per image, `latents.safetensors`, `pixels.safetensors` (float32
pixels of the exactness shots, since 8 bits cannot show more than 59 dB), and `manifest.json`,
which lists them and is written last: what it does not list is not part of the references. While
older references are being replaced, the files of both lie side by side.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from perfsuite.errors import ReferenceImageError
from perfsuite.images.generate import GeneratedImage, deterministically
from perfsuite.images.metrics import Latents, Pixels
from perfsuite.images.references import References, exactness_shots
from perfsuite.results.machine import Environment
from perfsuite.results.method import Configuration, first_difference
from perfsuite.storage import (
    check_outputs,
    locked,
    read_file,
    read_json,
    why,
    write_json,
    write_whole,
)
from perfsuite.stores.making import Making
from perfsuite.workload import NOTHING_ASKED, Asked, Shot, Workload

SCHEMA = 2
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class StoredFile:
    """A file of the folder.

    Attributes:
        name: file name.
        sha256: of its content, hexadecimal.

    Raises:
        ValueError: the name leads out of the folder.
    """

    name: str
    sha256: str

    def __post_init__(self) -> None:
        if self.name in ("", "..") or PurePath(self.name).name != self.name or "\0" in self.name:
            raise ValueError(f"{self.name!r} is no file name")


@dataclass(frozen=True)
class Manifest:
    """Where a set of references came from.

    Attributes:
        schema: version of this layout.
        checkpoint: names the checkpoint.
        identity: of its weights.
        workload: the quality workload.
        environment: where it was made.
        images: one file for each shot of the workload, in its order.
        latents: final latents, tensors named by the shot's index.
        pixels: float32 pixels of the exactness shots, tensors named by the shot's index.
        configuration: of the checkpoint; None where it is not known.
    """

    schema: int
    checkpoint: str
    identity: str
    workload: Workload
    environment: Environment
    images: tuple[StoredFile, ...]
    latents: StoredFile
    pixels: StoredFile
    configuration: Configuration | None = None


def load_references(
    folder: Path,
    *,
    checkpoint: str,
    identity: str,
    workload: Workload,
    configuration: Configuration | None = None,
    asked: Asked = NOTHING_ASKED,
) -> References:
    """Load and check a set of references.

    Args:
        folder: where they lie.
        checkpoint: names the checkpoint.
        identity: of its weights.
        workload: the quality workload.
        configuration: of the checkpoint; None where it is not known.
        asked: names checkpoint and workload to the command that makes them anew.

    Raises:
        ReferenceImageError: incomplete, damaged, or made from other weights or configurations, or
            for another workload.
    """
    anew = asked.command("record-references")
    hint = f"restore it from version control, or {anew}"
    manifest = _read_manifest(folder, hint)
    named = (
        ("checkpoint", checkpoint, manifest.checkpoint),
        ("weights", identity, manifest.identity),
        ("workload", workload.digest, manifest.workload.digest),
    )
    other = first_difference(named, manifest.configuration, configuration)
    if other is not None:
        raise ReferenceImageError(
            f"{folder} was recorded for {other.what} {other.recorded}, this is {other.here}",
            hint=anew,
        )
    shots = tuple(workload.shots())
    if len(manifest.images) != len(shots):
        raise ReferenceImageError(
            f"{folder / MANIFEST} does not list one image for each shot", hint=hint
        )
    try:
        latents = _read_tensors(folder, manifest.latents, shots, hint)
        pixels = _read_tensors(folder, manifest.pixels, exactness_shots(workload), hint)
        images = tuple(_decode(_read_checked(folder, file, hint)) for file in manifest.images)
    except ReferenceImageError:
        if _read_manifest(folder, hint) == manifest:
            raise
        # Another session has replaced them meanwhile, and taken the old files away.
        return load_references(
            folder,
            checkpoint=checkpoint,
            identity=identity,
            workload=workload,
            configuration=configuration,
            asked=asked,
        )
    return References(images, tuple(latents.values()), pixels, folder, manifest.environment)


def _read_manifest(folder: Path, hint: str) -> Manifest:
    return read_json(
        folder / MANIFEST, Manifest, schema=SCHEMA, error=ReferenceImageError, hint=hint
    )


def record_references(
    folder: Path,
    *,
    checkpoint: str,
    identity: str,
    workload: Workload,
    environment: Environment,
    images: Iterable[GeneratedImage],
    again: Callable[[Shot], GeneratedImage],
    progress: Callable[[int], None] = lambda done: None,
    configuration: Configuration | None = None,
    asked: Asked = NOTHING_ASKED,
) -> References:
    """Make images, and store them when all are there and sound; until then old ones stay.

    Args:
        folder: where they go.
        checkpoint: names the checkpoint.
        identity: of its weights.
        workload: the quality workload.
        environment: where they are made.
        images: one for each shot, made while they are taken.
        again: makes a shot's image once more.
        progress: told how many are made.
        configuration: of the checkpoint; None where it is not known.
        asked: names checkpoint and workload to the command that makes them.

    Raises:
        ReferenceImageError: an image is no reference, or two makings of one differ.
        OutputError: the folder cannot be written.
    """
    check_outputs(folder / MANIFEST)
    making = Making(workload, checkpoint, asked)
    with deterministically():
        for done, image in enumerate(images, start=1):
            making.add(image)
            progress(done)
        making.finish()
        making.compare(again(exactness_shots(workload)[0]))
    with locked(folder):
        old = _listed(folder)
        stored = [_store(folder, name, content, old) for name, content in making.files.items()]
        *pictures, latents, pixels = stored
        manifest = Manifest(
            SCHEMA,
            checkpoint,
            identity,
            workload,
            environment,
            tuple(pictures),
            latents,
            pixels,
            configuration,
        )
        write_json(folder / MANIFEST, manifest)
        for name in old.keys() - {file.name for file in stored}:
            (folder / name).unlink(missing_ok=True)
    return load_references(
        folder,
        checkpoint=checkpoint,
        identity=identity,
        workload=workload,
        configuration=configuration,
        asked=asked,
    )


def _decode(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content)) as image:
        pixels: Pixels = np.asarray(image.convert("RGB"), dtype=np.float32) / np.float32(255)
    return pixels


def _listed(folder: Path) -> dict[str, str]:
    """Digests of the files of the references that are there, by name; empty if there are none."""
    try:
        manifest = _read_manifest(folder, "")
    except ReferenceImageError:
        return {}
    files = (*manifest.images, manifest.latents, manifest.pixels)
    return {file.name: file.sha256 for file in files}


def _store(folder: Path, name: str, content: bytes, old: dict[str, str]) -> StoredFile:
    """Write a file beside those of the old references, which are whole until they are replaced."""
    sha256 = hashlib.sha256(content).hexdigest()
    if old.get(name, sha256) != sha256:
        path = PurePath(name)
        name = f"{path.stem}-{sha256[:8]}{path.suffix}"
    write_whole(folder / name, content)
    return StoredFile(name, sha256)


def _read_tensors(
    folder: Path, file: StoredFile, shots: Iterable[Shot], hint: str
) -> dict[int, Latents]:
    """Tensors of these shots, by the shot's index."""
    content = _read_checked(folder, file, hint)
    try:
        tensors = load_tensors(content)
        return {shot.index: tensors[str(shot.index)] for shot in shots}
    except (SafetensorError, KeyError) as error:
        path = folder / file.name
        raise ReferenceImageError(f"{path} is incomplete ({error})", hint=hint) from None


def _read_checked(folder: Path, file: StoredFile, hint: str) -> bytes:
    path = folder / file.name
    try:
        content = read_file(path)
    except (OSError, ValueError) as error:
        problem = f"reference {path} cannot be read ({why(error)})"
        raise ReferenceImageError(problem, hint=hint) from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise ReferenceImageError(f"reference {path} is not what its manifest lists", hint=hint)
    return content
