"""A sheet of a method's pictures, each below the reference method's of the same prompt and seed."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.float32]
"""height x width x 3, from 0 to 1."""
Pair = tuple[str, Pixels, Pixels]
"""What both show, the reference method's picture and the method's."""
COLUMNS = 8
CELL = 112
_MARGIN, _HEAD, _GAP, _LABEL = 16, 44, 8, 18
_INK, _DIM, _PAPER = "#1c2024", "#60646c", "#ffffff"


def draw_pairs(title: str, names: tuple[str, str], pairs: tuple[Pair, ...]) -> bytes:
    """A PNG for people.

    Args:
        title: what failed.
        names: of the reference method and of the method.
        pairs: in rows of `COLUMNS`.
    """
    rows = [pairs[start : start + COLUMNS] for start in range(0, len(pairs), COLUMNS)]
    columns = min(COLUMNS, len(pairs))
    block = 2 * CELL + _LABEL + 2 * _GAP
    size = (2 * _MARGIN + columns * (CELL + _GAP), _HEAD + len(rows) * block + _MARGIN)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, 8), title, fill=_INK, font=_font(17))
    above, below = names
    draw.text((_MARGIN, 28), f"above {above}, below {below}", fill=_DIM, font=_font(12))
    for row, some in enumerate(rows):
        for column, (said, reference, image) in enumerate(some):
            left, top = _MARGIN + column * (CELL + _GAP), _HEAD + row * block
            sheet.paste(_shown(reference), (left, top))
            sheet.paste(_shown(image), (left, top + CELL))
            draw.text((left, top + 2 * CELL + 2), said[:19], fill=_DIM, font=_font(10))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _shown(pixels: Pixels) -> Image.Image:
    whole = np.nan_to_num(np.clip(pixels, 0, 1), nan=0.0)
    picture = Image.fromarray(np.round(whole * 255).astype(np.uint8))
    return picture.resize((CELL, CELL), Image.Resampling.LANCZOS)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
