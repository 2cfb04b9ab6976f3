"""LPIPS, the learned perceptual distance: an optional extra, `pip install perfsuite[lpips]`.

R. Zhang, P. Isola, A. A. Efros, E. Shechtman, O. Wang, 'The unreasonable effectiveness of deep
features as a perceptual metric', CVPR 2018, as the authors' package has it. No verdict rests on it:
it needs torchvision's AlexNet weights, which are downloaded once.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import torch

from perfsuite.errors import MetricUnavailable
from perfsuite.images.metrics import Pixels
from perfsuite.libraries import quietly


@functools.cache
def perceptual_distance() -> PerceptualDistance | None:
    """The distance, loaded once; None where it cannot be had."""
    try:
        return PerceptualDistance()
    except MetricUnavailable:
        return None


class PerceptualDistance:
    """LPIPS with AlexNet features, on the CPU; 0 is equal, 0.1 is easily seen.

    Raises:
        MetricUnavailable: the package is not installed, or its weights cannot be had.
    """

    def __init__(self) -> None:
        try:
            package = importlib.import_module("lpips")
        except ImportError:
            raise MetricUnavailable(
                "LPIPS needs the package lpips", hint="pip install 'perfsuite[lpips]'"
            ) from None
        try:
            with quietly():
                self._net: Any = package.LPIPS(net="alex", verbose=False).eval()
        # A download fails with what urllib, the cache or the disk raise: all mean the same here.
        except Exception as error:
            raise MetricUnavailable(
                f"LPIPS has no AlexNet weights ({type(error).__name__}: {error})",
                hint="let torchvision download alexnet once, or copy it into torch.hub's cache",
            ) from None

    @torch.no_grad()
    def __call__(self, image: Pixels, reference: Pixels) -> float:
        """Distance of two images.

        Args:
            image: height x width x 3, from 0 to 1, at least 64 x 64.
            reference: of the same shape.

        Raises:
            ValueError: the shapes differ.
        """
        if image.shape != reference.shape:
            raise ValueError(f"an image of {image.shape} against a reference of {reference.shape}")
        one, other = (
            torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] * 2 - 1
            for pixels in (image, reference)
        )
        return float(self._net(one, other))
