"""What it means that an image which has failed was made once more. Pure functions."""

from __future__ import annotations

import math

from perfsuite.results.again_reasons import Bimodal, SameAgain, Unstable

STABLE_DB = 80.0
"""PSNR of float32 pixels that two makings of one image reach if nothing but rounding differs."""


def judge_again(
    here_db: float, there_db: float, between_db: float, ssim: float | None, again: float | None
) -> Bimodal | SameAgain | Unstable:
    """What two makings here and two in a fresh process say together.

    Args:
        here_db: PSNR between two makings in the process where the image failed; infinite if equal.
        there_db: the same of a fresh process.
        between_db: PSNR between the first makings of both.
        ssim: of the image that failed, to its reference.
        again: of the fresh process's.
    """
    stable = min(_decibels(here_db), _decibels(there_db))
    if not stable >= STABLE_DB:
        return Unstable(stable)
    if _decibels(between_db) >= STABLE_DB:
        return SameAgain()
    return Bimodal(ssim, again, _decibels(between_db))


def _decibels(value: float) -> float:
    """PSNR as a number that JSON can hold; NaN is no agreement at all."""
    if math.isnan(value):
        return 0.0
    return min(value, 200.0)
