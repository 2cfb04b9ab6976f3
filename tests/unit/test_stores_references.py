from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from perfsuite import storage
from perfsuite.errors import ReferenceImageError
from perfsuite.images.generate import GeneratedImage
from perfsuite.images.metrics import as_eight_bits
from perfsuite.images.references import References, encode_png
from perfsuite.storage import write_whole
from perfsuite.stores import references
from perfsuite.stores.making import LATENTS
from perfsuite.stores.references import (
    MANIFEST,
    load_references,
    record_references,
)
from perfsuite.workload import Asked, Shot, Workload
from tests.unit.samples import environment, workload

IDENTITY = "sha256:0123456789ab"


def images(work: Workload) -> Iterator[GeneratedImage]:
    for shot in work.shots():
        generator = np.random.default_rng(shot.index)
        pixels = generator.random((64, 64, 3)).astype(np.float32)
        yield GeneratedImage(shot, pixels, np.full((4, 2, 2), shot.index, np.float32))


def darker(image: GeneratedImage, factor: float = 0.5) -> GeneratedImage:
    return dataclasses.replace(image, pixels=image.pixels * np.float32(factor))


def record(
    folder: Path,
    made: Iterable[GeneratedImage] | None = None,
    again: Callable[[Shot], GeneratedImage] | None = None,
) -> References:
    """Record images, and make the first of them a second time just as it was."""
    listed = list(images(workload())) if made is None else made
    kept: list[GeneratedImage] = []
    return record_references(
        folder,
        checkpoint="pocket",
        identity=IDENTITY,
        workload=workload(),
        environment=environment(),
        images=(kept.append(image) or image for image in listed),  # type: ignore[func-returns-value]
        again=again or (lambda shot: next(image for image in kept if image.shot == shot)),
    )


def content(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.suffix != ".lock"}


def load(folder: Path, *, identity: str = IDENTITY, work: Workload | None = None) -> References:
    return load_references(
        folder,
        checkpoint="pocket",
        identity=identity,
        workload=work or workload(),
        asked=Asked("pocket"),
    )


def refusal(folder: Path, *, identity: str = IDENTITY, work: Workload | None = None) -> str:
    with pytest.raises(ReferenceImageError) as caught:
        load(folder, identity=identity, work=work)
    assert "perfsuite record-references pocket" in str(caught.value)
    return str(caught.value)


def test_references_come_back_as_the_eight_bit_images_that_were_made(tmp_path: Path) -> None:
    record(tmp_path)
    found = load(tmp_path)
    for image in images(workload()):
        assert np.array_equal(found.image(image.shot), as_eight_bits(image.pixels))
    assert found.environment == environment()
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
    made = list(images(workload()))
    record_references(
        tmp_path,
        checkpoint="pocket",
        identity=IDENTITY,
        workload=workload(),
        environment=environment(),
        images=made,
        again=lambda shot: made[shot.index],
        progress=told.append,
    )
    assert told == [1, 2, 3, 4]


def test_an_interrupted_recording_leaves_what_was_there(tmp_path: Path) -> None:
    def interrupted() -> Iterator[GeneratedImage]:
        made = images(workload())
        yield darker(next(made))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, interrupted())
    assert content(tmp_path) == {}
    record(tmp_path)
    before = content(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, interrupted())
    assert content(tmp_path) == before


def test_a_recording_of_too_few_images_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ReferenceImageError, match="1 images were made for 4 references"):
        record(tmp_path, iter([next(images(workload()))]))
    assert content(tmp_path) == {}


def damaged(kind: str, image: GeneratedImage) -> GeneratedImage:
    pixels, latents = image.pixels.copy(), image.latents.copy()
    if kind == "NaN in the pixels":
        pixels[0, 0, 0] = np.nan
    elif kind == "infinite latents":
        latents[0, 0, 0] = np.inf
    elif kind == "black":
        pixels[:] = 0
    elif kind == "flat":
        pixels[:] = 0.5
    elif kind == "another size":
        pixels = pixels[:32]
    return GeneratedImage(image.shot, pixels, latents, finite=kind != "NaN in another of the batch")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("NaN in the pixels", "pixels are NaN"),
        ("infinite latents", "latents are NaN or infinite"),
        ("black", "the image is black"),
        ("flat", "the image is flat"),
        ("another size", r"the image is \(32, 64, 3\), not \(64, 64, 3\)"),
        ("NaN in another of the batch", "another image of the batch is NaN"),
    ],
)
@pytest.mark.parametrize("place", [0, 3])
def test_what_is_no_picture_is_no_reference_and_the_old_ones_stay(
    kind: str, said: str, place: int, tmp_path: Path
) -> None:
    record(tmp_path)
    before = content(tmp_path)
    made = [darker(image) for image in images(workload())]
    made[place] = damaged(kind, made[place])
    with pytest.raises(ReferenceImageError, match=said) as caught:
        record(tmp_path, made)
    shot = made[place].shot
    assert f"'{shot.prompt}', seed {shot.seed}, is no reference" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert content(tmp_path) == before


def test_two_makings_that_differ_are_no_references(tmp_path: Path) -> None:
    first = next(images(workload()))
    with pytest.raises(ReferenceImageError, match=r"differently when made twice \(\d+\.\d dB\)"):
        record(tmp_path, again=lambda shot: darker(first, 0.999))
    with pytest.raises(ReferenceImageError, match="NaN"):
        record(tmp_path, again=lambda shot: damaged("NaN in the pixels", first))
    assert content(tmp_path) == {}
    record(tmp_path, again=lambda shot: darker(first, 1 - 1e-6))  # the rounding of another order


class Killed(BaseException):
    """As SIGKILL: nothing is tidied up."""


def test_a_recording_that_is_killed_at_any_write_leaves_the_old_ones_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = [darker(image) for image in images(workload())]
    outcomes = []
    for writes in range(9):
        folder = tmp_path / str(writes)
        record(folder)
        left = iter(range(writes))

        def write(path: Path, content: bytes, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Killed
            write_whole(path, content)

        with monkeypatch.context() as patched:
            patched.setattr(references, "write_whole", write)
            patched.setattr(storage, "write_whole", write)
            with contextlib.suppress(Killed):
                record(folder, new)
        found = load(folder).images[0]
        assert any(np.array_equal(found, as_eight_bits(i.pixels)) for i in (new[0], first_image()))
        outcomes.append("new" if np.array_equal(found, as_eight_bits(new[0].pixels)) else "old")
        record(folder, new)  # and the next recording finds its way
        assert np.array_equal(load(folder).images[3], as_eight_bits(new[3].pixels))
    assert outcomes == ["old"] * 7 + ["new"] * 2  # six files, and the manifest


def first_image() -> GeneratedImage:
    return next(images(workload()))


def test_two_sessions_that_record_at_once_leave_the_references_of_one(tmp_path: Path) -> None:
    made = [[darker(image, factor) for image in images(workload())] for factor in (0.4, 0.6, 0.8)]
    threads = [threading.Thread(target=record, args=(tmp_path, each)) for each in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = load(tmp_path).images
    assert any(
        all(
            np.array_equal(image, as_eight_bits(one.pixels))
            for image, one in zip(found, each, strict=True)
        )
        for each in made
    )


def test_files_that_the_folder_holds_beside_the_references_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    record(tmp_path)
    record(tmp_path, [darker(image) for image in images(workload())])
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert len(content(tmp_path)) == 4 + 3 + 1  # the files of the first recording are gone


@pytest.mark.parametrize("name", ["../00.png", "/etc/hostname", "", "..", "a/b.png", "a\0b"])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    record(tmp_path / "references")
    manifest = tmp_path / "references" / MANIFEST
    manifest.write_text(manifest.read_text().replace('"00.png"', json.dumps(name)))
    outside = tmp_path / "00.png"
    outside.write_text("mine")
    assert "is no file name" in refusal(tmp_path / "references")
    record(tmp_path / "references")
    assert outside.read_text() == "mine"


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


def test_a_pipe_in_the_place_of_an_image_is_refused_and_nothing_hangs(tmp_path: Path) -> None:
    record(tmp_path)
    (tmp_path / "02.png").unlink()
    os.mkfifo(tmp_path / "02.png")
    assert f"{tmp_path / '02.png'} cannot be read (it is no file)" in refusal(tmp_path)


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
    record(tmp_path, [darker(image) for image in images(workload())])
    assert all(float(image.max()) <= 0.51 for image in load(tmp_path).images)


def test_a_png_is_lossless_at_eight_bits() -> None:
    (first, *_) = images(workload())
    png = encode_png(first.pixels)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert encode_png(as_eight_bits(first.pixels)) == png


def test_references_that_are_replaced_while_they_are_read_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path)
    other = [dataclasses.replace(image, pixels=1 - image.pixels) for image in images(workload())]
    read, replaced = references._read_checked, False

    def replaced_meanwhile(*given: Any) -> bytes:
        nonlocal replaced
        if not replaced:
            replaced = True
            record(tmp_path, other)
        return read(*given)

    monkeypatch.setattr(references, "_read_checked", replaced_meanwhile)
    found = load(tmp_path)
    for image in other:
        assert np.array_equal(found.image(image.shot), as_eight_bits(image.pixels))
