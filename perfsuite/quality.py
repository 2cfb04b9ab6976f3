"""Image metrics: pure functions from two images to a number. Ranges are given, never guessed."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

Pixels = npt.NDArray[np.float32]
"""height x width x 3, from 0 to 1."""


def ssim(image: Pixels, reference: Pixels) -> float:
    """Structural similarity, from -1 to 1; 1 is equal.

    Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, 'Image quality assessment: from error
    visibility to structural similarity', IEEE Transactions on Image Processing 13 (4), 2004:
    Gaussian window of sigma 1.5, population covariance, mean over the three channels.

    Args:
        image: height x width x 3, from 0 to 1, at least 11 x 11.
        reference: of the same shape.

    Raises:
        ValueError: the shapes differ, or are no images.
    """
    _check_shapes(image, reference)
    return float(
        structural_similarity(
            image,
            reference,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=2,
        )
    )


def psnr_db(image: Pixels, reference: Pixels) -> float:
    """Peak signal-to-noise ratio in decibels for a peak of 1; infinite if the images are equal.

    Args:
        image: height x width x 3, from 0 to 1.
        reference: of the same shape.

    Raises:
        ValueError: the shapes differ, or are no images.
    """
    _check_shapes(image, reference)
    error = float(np.mean((image.astype(np.float64) - reference.astype(np.float64)) ** 2))
    return math.inf if error == 0 else -10 * math.log10(error)


def as_eight_bits(pixels: Pixels) -> Pixels:
    """The image that a PNG would hold: 256 levels per channel, still from 0 to 1."""
    levels: Pixels = np.round(np.clip(pixels, 0, 1) * 255).astype(np.float32) / np.float32(255)
    return levels


def _check_shapes(image: Pixels, reference: Pixels) -> None:
    if image.shape != reference.shape:
        raise ValueError(f"an image of {image.shape} against a reference of {reference.shape}")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an array of {image.shape} is not height x width x 3")
