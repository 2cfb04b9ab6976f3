"""The failure picture: reference, image and difference side by side, with scores and thresholds."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from perfsuite.results.images import ImageScore, Thresholds

Pixels = npt.NDArray[np.float32]
"""height x width x 3, from 0 to 1."""
SIDE = 384
"""Small images are enlarged to this many pixels, by whole factors, without smoothing."""
_MARGIN, _GAP, _HEAD, _FOOT, _SCALE = 24, 16, 84, 108, 14
_INK, _DIM, _PAPER, _FRAME = "#1c2024", "#60646c", "#ffffff", "#d9d9e0"
_GOOD, _BAD = "#18794e", "#ce2c31"
# Dark through purple and orange to pale yellow: brighter is further off.
_HEAT = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))


def draw_failure(
    title: str,
    subtitle: str,
    reference: Pixels,
    image: Pixels,
    score: ImageScore,
    thresholds: Thresholds,
    missed: tuple[str, ...] = (),
) -> bytes:
    """A PNG for people.

    Args:
        title: what failed.
        subtitle: prompt and seed.
        reference: height x width x 3, from 0 to 1.
        image: of the same shape; an image of another shape or with NaN is shown as far as it goes.
        score: of the image.
        thresholds: that it was held against.
        missed: thresholds that all images together miss, for people.
    """
    shown = np.nan_to_num(np.clip(image, 0, 1), nan=0.0).astype(np.float32)
    comparable = shown.shape == reference.shape
    difference = np.abs(shown - reference).mean(axis=2) if comparable else None
    peak = float(difference.max()) if difference is not None else 0.0
    drawn = heat(difference, peak) if difference is not None else np.zeros_like(reference)
    panels = [_enlarged(panel) for panel in (reference, shown, drawn)]
    map_name = "difference" if difference is not None else "difference: sizes differ"
    names = ("reference (fp32)", "image", map_name)
    sheet = _sheet(panels)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, 20), title, fill=_INK, font=_font(22))
    draw.text((_MARGIN, 52), subtitle, fill=_DIM, font=_font(15))
    left = _MARGIN
    foot = _HEAD + max(panel.height for panel in panels)
    for name, panel in zip(names, panels, strict=True):
        sheet.paste(panel, (left, _HEAD))
        frame = (left - 1, _HEAD - 1, left + panel.width, _HEAD + panel.height)
        draw.rectangle(frame, outline=_FRAME)
        draw.text((left, foot + 8), name, fill=_INK, font=_font(15))
        left += panel.width + _GAP
    _draw_scale(sheet, left - _GAP - panels[-1].width, foot + 34, panels[-1].width, peak)
    _draw_scores(draw, score, thresholds, foot + 40)
    if missed:
        said = f"all images: {', '.join(missed)}"
        draw.text((_MARGIN, foot + 72), said, fill=_BAD, font=_font(15))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _sheet(panels: list[Image.Image]) -> Image.Image:
    width = sum(panel.width for panel in panels) + 2 * _GAP + 2 * _MARGIN
    height = max(panel.height for panel in panels) + _HEAD + _FOOT
    return Image.new("RGB", (width, height), _PAPER)


def _enlarged(pixels: Pixels) -> Image.Image:
    levels = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(levels)
    factor = max(1, SIDE // max(picture.size))
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.NEAREST)


def heat(difference: npt.NDArray[np.float32], peak: float) -> Pixels:
    """Colours of a difference, scaled to its own peak; black throughout if there is none."""
    place = difference / peak if peak > 0 else difference
    return _colours(place)


def _colours(place: npt.NDArray[np.float32]) -> Pixels:
    stops = np.linspace(0, 1, len(_HEAT))
    channels = np.asarray(_HEAT, dtype=np.float64).T / 255
    mixed = [np.interp(place, stops, channel) for channel in channels]
    return np.stack(mixed, axis=-1).astype(np.float32)


def _draw_scale(sheet: Image.Image, left: int, top: int, width: int, peak: float) -> None:
    """The map's colours from no difference to its peak, in percent of full range."""
    ramp = np.tile(np.linspace(0, 1, width, dtype=np.float32), (_SCALE, 1))
    levels = np.round(_colours(ramp) * 255).astype(np.uint8)
    sheet.paste(Image.fromarray(levels), (left, top))
    draw = ImageDraw.Draw(sheet)
    draw.text((left, top + _SCALE + 4), "0", fill=_DIM, font=_font(13))
    end = f"{peak:.2g} of full range" if peak < 0.01 else f"{peak:.0%} of full range"
    draw.text((left + width, top + _SCALE + 4), end, fill=_DIM, font=_font(13), anchor="ra")


def _draw_scores(
    draw: ImageDraw.ImageDraw, score: ImageScore, thresholds: Thresholds, top: int
) -> None:
    """Scores of this image with the threshold of the worst image, red where it is missed."""
    left = _MARGIN
    rows = (
        ("SSIM {:.4f}", " (threshold {:.4f})", score.ssim, thresholds.worst_ssim),
        ("PSNR {:.1f} dB", " (threshold {:.1f} dB)", score.psnr_db, thresholds.worst_psnr_db),
        (
            "latent cosine {:.5f}",
            " (threshold {:.5f})",
            score.latent_cosine,
            thresholds.worst_latent_cosine,
        ),
    )
    for fault in score.faults:
        draw.text((left, top), fault, fill=_BAD, font=_font(17))
        left += int(draw.textlength(fault, font=_font(17))) + 2 * _GAP
    for said, asked, value, threshold in rows:
        if value is None:
            continue
        text = said.format(value) + (asked.format(threshold) if threshold is not None else "")
        missed = threshold is not None and not value >= threshold
        ink = _BAD if missed else _GOOD if threshold is not None else _DIM
        draw.text((left, top), text, fill=ink, font=_font(17))
        left += int(draw.textlength(text, font=_font(17))) + 2 * _GAP


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
