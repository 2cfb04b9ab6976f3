"""What the exactness stage makes: images at full size, or smaller ones of few steps.

What a change does to numbers beyond rounding it does in an operator, and an image of 512 pixels and
four steps calls the same operators in the same order as one of 1024 pixels and thirty
(`tests/unit/test_images_exactness.py` counts them): fewer rows go through them, fewer times. Full
size is left to the tier's own images, which are scored there, and to `--perf-exactness full`.
"""

from __future__ import annotations

from dataclasses import replace

from perfsuite.workload import Workload

REDUCED, FULL = "reduced", "full"
_LARGEST = 512
"""Longer sides are halved until they are no longer than this."""
_STEPS = 4
_MULTIPLE = 64
"""Sides stay multiples of this, so that the UNet halves them without remainder as before."""


def exactness_workload(quality: Workload, how: str) -> Workload:
    """The workload of the exactness stage.

    Args:
        quality: the quality workload.
        how: `reduced` or `full`. Images that are small anyway are never reduced, nor are sides
            whose half the UNet would have to pad.
    """
    height, width = quality.height, quality.width
    if how == FULL or max(height, width) <= _LARGEST:
        return quality
    while (
        max(height, width) > _LARGEST and not (height // 2) % _MULTIPLE | (width // 2) % _MULTIPLE
    ):
        height, width = height // 2, width // 2
    if (height, width) == (quality.height, quality.width):
        return quality
    return replace(quality, height=height, width=width, steps=min(quality.steps, _STEPS))
