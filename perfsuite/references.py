"""Stored fp32 images and latents, and where they came from.

A folder holds one lossless PNG per image, `latents.safetensors`, and `manifest.json`, which is
written last: a folder without it is not a set of references.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save as save_tensors

from perfsuite.environment import Environment
from perfsuite.errors import ReferenceImageError
from perfsuite.generation import GeneratedImage
from perfsuite.quality import Pixels
from perfsuite.storage import read_json, write_json, write_whole
from perfsuite.workload import Shot, Workload

SCHEMA = 1
MANIFEST = "manifest.json"
LATENTS = "latents.safetensors"


@dataclass(frozen=True)
class StoredFile:
    """A file of the folder.

    Attributes:
        name: file name.
        sha256: of its content, hexadecimal.
    """

    name: str
    sha256: str


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
    """

    schema: int
    checkpoint: str
    identity: str
    workload: Workload
    environment: Environment
    images: tuple[StoredFile, ...]
    latents: StoredFile


@dataclass(frozen=True)
class References:
    """Reference images, loaded.

    Attributes:
        folder: where they lie.
        manifest: where they came from.
        images: one for each shot, 8-bit levels from 0 to 1.
    """

    folder: Path
    manifest: Manifest
    images: tuple[Pixels, ...]

    def image(self, shot: Shot) -> Pixels:
        """The reference of a shot."""
        return self.images[shot.index]


def load_references(
    folder: Path, *, checkpoint: str, identity: str, workload: Workload
) -> References:
    """Load and check a set of references.

    Raises:
        ReferenceImageError: incomplete, damaged, or made from other weights or another workload.
    """
    mend = f"restore it from version control, or perfsuite record-references {checkpoint}"
    manifest = read_json(
        folder / MANIFEST, Manifest, schema=SCHEMA, error=ReferenceImageError, mend=mend
    )
    expected = (
        ("checkpoint", manifest.checkpoint, checkpoint),
        ("weights", manifest.identity, identity),
        ("workload", manifest.workload.digest, workload.digest),
    )
    for what, found, wanted in expected:
        if found != wanted:
            raise ReferenceImageError(
                f"{folder} was recorded for {what} {found}, this is {wanted}",
                mend=f"perfsuite record-references {checkpoint}",
            )
    if len(manifest.images) != len(tuple(workload.shots())):
        raise ReferenceImageError(
            f"{folder / MANIFEST} does not list one image for each shot", mend=mend
        )
    _read_checked(folder, manifest.latents, mend)
    images = tuple(_decode(_read_checked(folder, file, mend)) for file in manifest.images)
    return References(folder, manifest, images)


def record_references(
    folder: Path,
    *,
    checkpoint: str,
    identity: str,
    workload: Workload,
    environment: Environment,
    images: Iterable[GeneratedImage],
    progress: Callable[[int], None] = lambda done: None,
) -> References:
    """Store images as they are made, and the manifest when all are there.

    Raises:
        OutputError: the folder cannot be written.
    """
    files, latents = [], {}
    for image in images:
        files.append(_store(folder, f"{image.shot.index:02d}.png", encode_png(image.pixels)))
        latents[str(image.shot.index)] = image.latents
        progress(len(files))
    stored_latents = _store(folder, LATENTS, save_tensors(latents))
    manifest = Manifest(
        SCHEMA, checkpoint, identity, workload, environment, tuple(files), stored_latents
    )
    write_json(folder / MANIFEST, manifest)
    return load_references(folder, checkpoint=checkpoint, identity=identity, workload=workload)


def encode_png(pixels: Pixels) -> bytes:
    """A PNG of 8 bits per channel from height x width x 3 pixels from 0 to 1."""
    buffer = io.BytesIO()
    levels = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(levels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _decode(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content)) as image:
        pixels: Pixels = np.asarray(image.convert("RGB"), dtype=np.float32) / np.float32(255)
    return pixels


def _store(folder: Path, name: str, content: bytes) -> StoredFile:
    write_whole(folder / name, content)
    return StoredFile(name, hashlib.sha256(content).hexdigest())


def _read_checked(folder: Path, file: StoredFile, mend: str) -> bytes:
    path = folder / file.name
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = f"reference {path} cannot be read ({error.strerror})"
        raise ReferenceImageError(problem, mend=mend) from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise ReferenceImageError(f"reference {path} is not what its manifest lists", mend=mend)
    return content
