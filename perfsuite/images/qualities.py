"""What one picture looks like, in numbers that need no reference. Pure functions on arrays."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from perfsuite.images.metrics import Pixels, ssim
from perfsuite.results.pictures import Quality

Plane = npt.NDArray[np.float64]
EDGES = 0.95
"""Quantile of the gradient's length that stands for a picture's edges."""
LARGEST_PX = 256
"""Pictures are compared between seeds at no more than this size; layout is what matters there."""
_LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in luma: Recommendation ITU-R BT.601."""


def look(pixels: Pixels) -> dict[Quality, float]:
    """Sharpness, grain, contrast, colourfulness and brightness of a picture.

    Args:
        pixels: height x width x 3, from 0 to 1.

    Raises:
        ValueError: it is not height x width x 3.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"an array of {pixels.shape} is not height x width x 3")
    exact = pixels.astype(np.float64)
    luma = exact @ _LUMA
    slopes = gradient(luma)
    return {
        Quality.SHARPNESS: float(np.quantile(slopes, EDGES)),
        Quality.GRAIN: float(np.median(slopes)),
        Quality.CONTRAST: float(luma.std()),
        Quality.COLOUR: colourfulness(exact),
        Quality.BRIGHTNESS: float(luma.mean()),
    }


def gradient(luma: Plane) -> Plane:
    """Length of the gradient between neighbouring pixels, from 0 to the square root of 2.

    Args:
        luma: height x width.

    Returns:
        (height - 1) x (width - 1).
    """
    down = np.diff(luma, axis=0)[:, :-1]
    right = np.diff(luma, axis=1)[:-1, :]
    lengths: Plane = np.hypot(down, right)
    return lengths


def colourfulness(pixels: Plane) -> float:
    """Hasler and Süsstrunk's measure, of pixels from 0 to 1 (theirs is 255 times as large)."""
    red, green, blue = np.moveaxis(pixels, 2, 0)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = math.hypot(float(red_green.std()), float(yellow_blue.std()))
    middle = math.hypot(float(red_green.mean()), float(yellow_blue.mean()))
    return spread + 0.3 * middle


def spread_of_seeds(pictures: Sequence[Pixels]) -> float:
    """Mean of 1 - SSIM over pairs of pictures of one prompt; 0 if all are the same.

    Raises:
        ValueError: there are fewer than two.
    """
    if len(pictures) < 2:
        raise ValueError("one picture has no diversity")
    small = [_reduced(each) for each in pictures]
    return statistics.fmean(1 - ssim(a, b) for a, b in itertools.combinations(small, 2))


def _reduced(pixels: Pixels) -> Pixels:
    """The picture by means of square blocks, no larger than `LARGEST_PX`."""
    factor = math.ceil(max(pixels.shape[:2]) / LARGEST_PX)
    if factor == 1:
        return pixels
    height, width = (side // factor * factor for side in pixels.shape[:2])
    blocks = pixels[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    reduced: Pixels = blocks.mean(axis=(1, 3), dtype=np.float32)
    return reduced
