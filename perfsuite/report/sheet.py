"""Contact sheets: all images of a tier in one picture file, and the maps of their differences.

A sheet has equal cells without gaps, so that a page can show any one of them as a background, and
a person can open the file. Small images are kept without loss; large ones are made smaller, so that
the sheets of six tiers stay below some megabytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from perfsuite.report.picture import Pixels, heat

Levels = npt.NDArray[np.uint8]
"""height x width x 3, from 0 to 255."""
SMALL = 128
"""Images whose longer side is at most this many pixels are kept as they are."""
_LONGEST, _LONGEST_MAP = 512, 192
_MOST_PIXELS = 2_000_000
"""Of a sheet of images that are made smaller."""
_QUALITY = 80


@dataclass(frozen=True)
class Sheet:
    """One picture file.

    Attributes:
        content: WebP.
        columns: cells in a row.
    """

    content: bytes
    columns: int


@dataclass(frozen=True)
class DifferenceSheet(Sheet):
    """Maps of differences, brighter is further off.

    Attributes:
        peaks: brightest point of each map, as a fraction of full range; None where both cannot be
            compared.
    """

    peaks: tuple[float | None, ...]


def draw_sheet(images: Sequence[Pixels], size: tuple[int, int]) -> Sheet:
    """Images side by side.

    Args:
        images: height x width x 3, from 0 to 1, at least one; what is not finite is drawn black.
        size: width and height that they should have; others are stretched to it.
    """
    cell = cell_size(size, len(images), _LONGEST)
    cells = [_drawn(each, cell) for each in images]
    return _encoded(cells, lossless=cell == size)


def draw_differences(
    references: Sequence[Pixels], images: Sequence[Pixels], size: tuple[int, int]
) -> DifferenceSheet:
    """A map for each image: mean absolute difference over channels, scaled to its own peak."""
    cell = cell_size(size, len(images), _LONGEST_MAP)
    cells, peaks = [], []
    for reference, image in zip(references, images, strict=True):
        place, peak = _difference(reference, image, cell)
        cells.append(_mapped(place, peak or 0.0))
        peaks.append(peak)
    sheet = _encoded(cells, lossless=cell == size)
    return DifferenceSheet(sheet.content, sheet.columns, tuple(peaks))


def cell_size(size: tuple[int, int], count: int, longest: int) -> tuple[int, int]:
    """Width and height of a cell: an image's own, or as small as sheets have to be."""
    width, height = size
    if max(size) <= SMALL:
        return size
    factor = min(1.0, longest / max(size), math.sqrt(_MOST_PIXELS / (count * width * height)))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _difference(
    reference: Pixels, image: Pixels, cell: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], float | None]:
    if reference.shape != image.shape or not np.isfinite(image).all():
        return np.zeros(cell[::-1], dtype=np.float32), None
    apart = np.abs(image - reference)
    difference = (apart[..., 0] + apart[..., 1] + apart[..., 2]) / 3
    if difference.shape != cell[::-1]:
        map_ = Image.fromarray(difference).resize(cell, Image.Resampling.BOX)
        difference = np.asarray(map_, dtype=np.float32)
    return difference, float(difference.max())


def _drawn(image: Pixels, cell: tuple[int, int]) -> Levels:
    levels = _levels(np.nan_to_num(image, nan=0.0))
    if levels.shape[:2] == cell[::-1]:
        return levels
    return np.asarray(Image.fromarray(levels).resize(cell, Image.Resampling.BOX))


def _mapped(place: npt.NDArray[np.float32], peak: float) -> Levels:
    shares = place / peak if peak > 0 else place
    return _HEAT_LEVELS[_levels(shares)]


def _levels(pixels: npt.NDArray[np.float32]) -> Levels:
    return np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


_HEAT_LEVELS = _levels(heat(np.linspace(0, 1, 256, dtype=np.float32), 1.0))
"""Colours of 256 differences, from none to the peak."""


def _encoded(cells: list[Levels], *, lossless: bool) -> Sheet:
    columns = math.ceil(math.sqrt(len(cells)))
    height, width = cells[0].shape[:2]
    rows = math.ceil(len(cells) / columns)
    sheet = np.zeros((rows * height, columns * width, 3), dtype=np.uint8)
    for place, cell in enumerate(cells):
        row, column = divmod(place, columns)
        top, left = row * height, column * width
        sheet[top : top + height, left : left + width] = cell
    buffer = io.BytesIO()
    # For lossless files, quality is the effort.
    quality = 0 if lossless else _QUALITY
    Image.fromarray(sheet).save(buffer, format="WEBP", lossless=lossless, quality=quality, method=1)
    return Sheet(buffer.getvalue(), columns)
