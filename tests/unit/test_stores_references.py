from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from perfsuite.errors import ReferenceImageError
from perfsuite.images.generate import GeneratedImage
from perfsuite.images.metrics import as_eight_bits
from perfsuite.images.references import References, encode_png
from perfsuite.stores.references import LATENTS, MANIFEST, load_references, record_references
from perfsuite.workload import Workload
from tests.unit.samples import environment, workload

IDENTITY = "sha256:0123456789ab"


def images(work: Workload) -> Iterator[GeneratedImage]:
    for shot in work.shots():
        generator = np.random.default_rng(shot.index)
        pixels = generator.random((16, 12, 3)).astype(np.float32)
        yield GeneratedImage(shot, pixels, np.full((4, 2, 2), shot.index, np.float32))


def record(folder: Path, made: Iterator[GeneratedImage] | None = None) -> References:
    return record_references(
        folder,
        checkpoint="pocket",
        identity=IDENTITY,
        workload=workload(),
        environment=environment(),
        images=images(workload()) if made is None else made,
    )


def load(folder: Path, *, identity: str = IDENTITY, work: Workload | None = None) -> References:
    return load_references(
        folder, checkpoint="pocket", identity=identity, workload=work or workload()
    )


def refusal(folder: Path, *, identity: str = IDENTITY, work: Workload | None = None) -> str:
    with pytest.raises(ReferenceImageError) as caught:
        load(folder, identity=identity, work=work)
    assert "perfsuite record-references pocket" in str(caught.value)
    return str(caught.value)


def test_references_come_back_as_the_eight_bit_images_that_were_made(tmp_path: Path) -> None:
    record(tmp_path)
    references = load(tmp_path)
    for image in images(workload()):
        assert np.array_equal(references.image(image.shot), as_eight_bits(image.pixels))
    assert references.environment == environment()
    manifest = json.loads((tmp_path / MANIFEST).read_bytes())
    assert manifest["identity"] == IDENTITY
    assert manifest["workload"]["steps"] == workload().steps


def test_references_name_the_packages_that_have_changed_since(tmp_path: Path) -> None:
    record(tmp_path)
    references = load(tmp_path)
    assert references.versions_since(environment()) == ()
    packages = {"torch": "2.14.1", "diffusers": "0.42.1"}
    later = dataclasses.replace(environment(), packages=packages)
    assert references.versions_since(later) == (
        "torch 2.13.0+cpu (now 2.14.1)",
        "torchao 0.18.0 (now not installed)",
    )
    unkept = dataclasses.replace(references, environment=None)
    assert unkept.versions_since(later) == ()


def test_latents_are_kept_beside_the_images(tmp_path: Path) -> None:
    record(tmp_path)
    latents = load_file(tmp_path / LATENTS)
    assert {name: float(tensor.max()) for name, tensor in latents.items()} == {
        "0": 0.0,
        "1": 1.0,
        "2": 2.0,
        "3": 3.0,
    }


def test_progress_is_told_of_every_image(tmp_path: Path) -> None:
    told: list[int] = []
    record_references(
        tmp_path,
        checkpoint="pocket",
        identity=IDENTITY,
        workload=workload(),
        environment=environment(),
        images=images(workload()),
        progress=told.append,
    )
    assert told == [1, 2, 3, 4]


def test_an_interrupted_recording_leaves_no_manifest(tmp_path: Path) -> None:
    def interrupted() -> Iterator[GeneratedImage]:
        made = images(workload())
        yield next(made)
        yield next(made)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, interrupted())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00.png", "01.png"]
    assert MANIFEST in refusal(tmp_path)


def test_a_recording_of_too_few_images_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ReferenceImageError, match="does not list one image for each shot"):
        record(tmp_path, iter([next(images(workload()))]))


@pytest.mark.parametrize("name", ["02.png", LATENTS])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    record(tmp_path)
    (tmp_path / name).unlink()
    assert f"{tmp_path / name} cannot be read (No such file or directory)" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["02.png", LATENTS])
def test_one_changed_byte_is_noticed(name: str, tmp_path: Path) -> None:
    record(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[-20] ^= 1
    (tmp_path / name).write_bytes(content)
    assert f"{tmp_path / name} is not what its manifest lists" in refusal(tmp_path)


def test_two_images_that_changed_places_are_noticed(tmp_path: Path) -> None:
    record(tmp_path)
    one, other = tmp_path / "00.png", tmp_path / "01.png"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert "is not what its manifest lists" in refusal(tmp_path)


def test_references_of_other_weights_are_refused(tmp_path: Path) -> None:
    record(tmp_path)
    message = refusal(tmp_path, identity="sha256:other")
    assert f"was recorded for weights {IDENTITY}, this is sha256:other" in message


def test_references_of_another_workload_are_refused(tmp_path: Path) -> None:
    record(tmp_path)
    other = workload(steps=11)
    message = refusal(tmp_path, work=other)
    assert f"for workload {workload().digest}, this is {other.digest}" in message


def test_a_folder_without_references_is_refused(tmp_path: Path) -> None:
    assert MANIFEST in refusal(tmp_path)


def test_recording_anew_replaces_what_was_there(tmp_path: Path) -> None:
    record(tmp_path)
    brighter = (
        GeneratedImage(each.shot, np.ones_like(each.pixels), each.latents)
        for each in images(workload())
    )
    record(tmp_path, brighter)
    assert all(float(image.min()) == 1.0 for image in load(tmp_path).images)


def test_a_png_is_lossless_at_eight_bits() -> None:
    (first, *_) = images(workload())
    png = encode_png(first.pixels)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert encode_png(as_eight_bits(first.pixels)) == png
