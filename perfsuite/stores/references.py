"""Stored fp32 images and latents, and where they came from.

A folder holds one lossless PNG per image, `latents.safetensors`, `pixels.safetensors` (float32
pixels of the exactness shots, since 8 bits cannot show more than 59 dB), and `manifest.json`,
which is written last: a folder without it is not a set of references.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from perfsuite.errors import ReferenceImageError
from perfsuite.images.generate import GeneratedImage, deterministically
from perfsuite.images.metrics import Latents, Pixels
from perfsuite.images.references import References, encode_png, exactness_shots
from perfsuite.results.machine import Environment
from perfsuite.results.method import Configuration, differences
from perfsuite.storage import read_json, write_json, write_whole
from perfsuite.workload import Shot, Workload

SCHEMA = 2
MANIFEST = "manifest.json"
LATENTS = "latents.safetensors"
PIXELS = "pixels.safetensors"


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
    options: str = "",
) -> References:
    """Load and check a set of references.

    Args:
        folder: where they lie.
        checkpoint: names the checkpoint.
        identity: of its weights.
        workload: the quality workload.
        configuration: of the checkpoint; None where it is not known.
        options: how the command that makes them anew is told the workload.

    Raises:
        ReferenceImageError: incomplete, damaged, or made from other weights or configurations, or
            for another workload.
    """
    mend = f"perfsuite record-references {checkpoint}{options}"
    hint = f"restore it from version control, or {mend}"
    manifest = read_json(
        folder / MANIFEST, Manifest, schema=SCHEMA, error=ReferenceImageError, hint=hint
    )
    expected = (
        ("checkpoint", manifest.checkpoint, checkpoint),
        ("weights", manifest.identity, identity),
        ("workload", manifest.workload.digest, workload.digest),
        *(
            (each.what, each.recorded, each.here)
            for each in differences(manifest.configuration, configuration)
        ),
    )
    for what, found, wanted in expected:
        if found != wanted:
            raise ReferenceImageError(
                f"{folder} was recorded for {what} {found}, this is {wanted}",
                hint=mend,
            )
    shots = tuple(workload.shots())
    if len(manifest.images) != len(shots):
        raise ReferenceImageError(
            f"{folder / MANIFEST} does not list one image for each shot", hint=hint
        )
    latents = _read_tensors(folder, manifest.latents, shots, hint)
    pixels = _read_tensors(folder, manifest.pixels, exactness_shots(workload), hint)
    images = tuple(_decode(_read_checked(folder, file, hint)) for file in manifest.images)
    return References(images, tuple(latents.values()), pixels, folder, manifest.environment)


def record_references(
    folder: Path,
    *,
    checkpoint: str,
    identity: str,
    workload: Workload,
    environment: Environment,
    images: Iterable[GeneratedImage],
    progress: Callable[[int], None] = lambda done: None,
    configuration: Configuration | None = None,
    options: str = "",
) -> References:
    """Store images as they are made, and the manifest when all are there.

    Raises:
        OutputError: the folder cannot be written.
    """
    files, latents, pixels = [], {}, {}
    kept = {shot.index for shot in exactness_shots(workload)}
    with deterministically():
        for image in images:
            files.append(_store(folder, f"{image.shot.index:02d}.png", encode_png(image.pixels)))
            # safetensors writes an array's memory as it lies, whatever its strides say.
            latents[str(image.shot.index)] = np.ascontiguousarray(image.latents)
            if image.shot.index in kept:
                pixels[str(image.shot.index)] = np.ascontiguousarray(image.pixels)
            progress(len(files))
    manifest = Manifest(
        SCHEMA,
        checkpoint,
        identity,
        workload,
        environment,
        tuple(files),
        _store(folder, LATENTS, save_tensors(latents)),
        _store(folder, PIXELS, save_tensors(pixels)),
        configuration,
    )
    write_json(folder / MANIFEST, manifest)
    return load_references(
        folder,
        checkpoint=checkpoint,
        identity=identity,
        workload=workload,
        configuration=configuration,
        options=options,
    )


def _decode(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content)) as image:
        pixels: Pixels = np.asarray(image.convert("RGB"), dtype=np.float32) / np.float32(255)
    return pixels


def _store(folder: Path, name: str, content: bytes) -> StoredFile:
    write_whole(folder / name, content)
    return StoredFile(name, hashlib.sha256(content).hexdigest())


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
        content = path.read_bytes()
    except OSError as error:
        problem = f"reference {path} cannot be read ({error.strerror})"
        raise ReferenceImageError(problem, hint=hint) from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise ReferenceImageError(f"reference {path} is not what its manifest lists", hint=hint)
    return content
