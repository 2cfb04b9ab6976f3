"""Keeping a tier's images for people: contact sheets beside the record."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from perfsuite.errors import OutputError
from perfsuite.images.generate import GeneratedImage
from perfsuite.images.metrics import as_eight_bits
from perfsuite.images.references import References
from perfsuite.report.sheet import draw_differences, draw_sheet
from perfsuite.results.images import ContactSheets
from perfsuite.results.picture_reasons import NoPicture
from perfsuite.results.verdict import Verdict
from perfsuite.storage import write_whole


def with_sheets(
    verdict: Verdict,
    name: str,
    images: Sequence[GeneratedImage],
    references: References,
    folder: Path,
    records: Path,
) -> Verdict:
    """A verdict on images with contact sheets of what it is about.

    A disk that is full costs the sheets, not the verdict.

    Args:
        verdict: on `images`, in their order.
        name: of the files.
        images: at least one.
        references: that they were held against.
        folder: where the sheets go.
        records: folder of the record, which paths start from.
    """
    if verdict.images is None:
        return verdict
    try:
        sheets = _write(name, images, references, folder, records)
    except OutputError as error:
        return replace(verdict, notes=(*verdict.notes, NoPicture(error.problem)))
    return replace(verdict, images=replace(verdict.images, sheets=sheets))


def _write(
    name: str,
    images: Sequence[GeneratedImage],
    references: References,
    folder: Path,
    records: Path,
) -> ContactSheets:
    held = [references.image(each.shot) for each in images]
    made = [as_eight_bits(each.pixels) for each in images]
    height, width = held[0].shape[:2]
    size = (width, height)
    drawn, differences = draw_sheet(made, size), draw_differences(held, made, size)
    digest = hashlib.sha256(b"".join(each.tobytes() for each in held)).hexdigest()[:8]
    names = (f"references-{digest}", name, f"{name}-differences")
    paths = [folder / f"{each}.webp" for each in names]
    if not paths[0].is_file():  # most tiers are held against the same
        write_whole(paths[0], draw_sheet(held, size).content)
    write_whole(paths[1], drawn.content)
    write_whole(paths[2], differences.content)
    shown = [path.relative_to(records).as_posix() for path in paths]
    return ContactSheets(
        drawn.columns, shown[0], shown[1], shown[2], differences.peaks, width / height
    )
