"""Image metrics: pure functions from two images to a number. Ranges are given, never guessed."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from perfsuite.errors import SettingsError

Pixels = npt.NDArray[np.float32]
"""height x width x 3, from 0 to 1."""
Latents = npt.NDArray[np.float32]
"""channels x height x width, of any range."""

SSIM_WINDOW_PX = 11
"""Side of SSIM's window: a Gaussian of sigma 1.5, cut off at 3.5 sigma."""
FLAT_DEVIATION = 0.01
"""An image whose pixels deviate less than this from their mean shows nothing."""
BLACK_LEVEL = 0.02
"""An image whose mean is below this is black."""
SATURATED_SHARE = 0.5
"""An image of whose values more than this share are exactly 0 or 1 is saturated."""


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


def check_scorable(height: int, width: int) -> None:
    """See that images of this size can be scored.

    Args:
        height: pixels.
        width: pixels.

    Raises:
        SettingsError: SSIM's window does not fit into them.
    """
    if min(height, width) < SSIM_WINDOW_PX:
        raise SettingsError(
            f"images of {width}x{height} pixels are smaller than SSIM's window of "
            f"{SSIM_WINDOW_PX} pixels",
            hint="make them larger, --perf-size 64x64, or measure without images: "
            "--perf-only latency",
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


def mean_absolute_difference(image: Pixels, reference: Pixels) -> float:
    """Mean over pixels and channels of |image - reference|, from 0 to 1; 0 is equal.

    It says how far off the pixels are in brightness (0.004 is one level of 8 bits), where SSIM says
    whether structure is there, and weighs large errors no more than many small ones.

    Args:
        image: height x width x 3, from 0 to 1.
        reference: of the same shape.

    Raises:
        ValueError: the shapes differ, or are no images.
    """
    _check_shapes(image, reference)
    return float(np.mean(np.abs(image.astype(np.float64) - reference.astype(np.float64))))


def latent_cosine(latents: Latents, reference: Latents) -> float:
    """Cosine of the angle between two sets of final latents, from -1 to 1; 1 is the same direction.

    Latents are what the denoiser itself made, before the VAE turns them into pixels: where they
    agree and pixels do not, the picture has drifted or the decoder is at fault.

    Args:
        latents: of any shape.
        reference: of the same shape.

    Raises:
        ValueError: the shapes differ, or either is all zero or not finite.
    """
    if latents.shape != reference.shape:
        raise ValueError(f"latents of {latents.shape} against a reference of {reference.shape}")
    one, other = latents.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    if not 0 < lengths < math.inf:
        raise ValueError("latents that are all zero or not finite have no direction")
    return float(np.clip(one @ other / lengths, -1.0, 1.0))


def visible_faults(pixels: Pixels, latents: Latents, *, height: int, width: int) -> tuple[str, ...]:
    """What is wrong with an image that no reference is needed to see, in words; empty if nothing.

    Args:
        pixels: as the pipeline returned them.
        latents: that they were decoded from.
        height: pixels that were asked for.
        width: pixels that were asked for.
    """
    found = []
    if not np.isfinite(latents).all():
        found.append("latents are NaN or infinite")
    if pixels.shape != (height, width, 3):
        found.append(f"the image is {pixels.shape}, not {(height, width, 3)}")
    if not np.isfinite(pixels).all():
        return (*found, "pixels are NaN or infinite")
    if float(pixels.mean()) < BLACK_LEVEL:
        found.append("the image is black")
    elif float(pixels.std()) < FLAT_DEVIATION:
        found.append("the image is flat")
    elif float(np.mean((pixels <= 0) | (pixels >= 1))) > SATURATED_SHARE:
        found.append(f"more than {SATURATED_SHARE:.0%} of the image is saturated")
    return tuple(found)


def as_eight_bits(pixels: Pixels) -> Pixels:
    """The image that a PNG would hold: 256 levels per channel, still from 0 to 1."""
    levels: Pixels = np.round(np.clip(pixels, 0, 1) * 255).astype(np.float32) / np.float32(255)
    return levels


def _check_shapes(image: Pixels, reference: Pixels) -> None:
    if image.shape != reference.shape:
        raise ValueError(f"an image of {image.shape} against a reference of {reference.shape}")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an array of {image.shape} is not height x width x 3")
