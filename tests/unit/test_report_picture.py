"""The failure picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from perfsuite.report.picture import SIDE, draw_failure
from perfsuite.results.images import ImageScore, Thresholds

BARS = Thresholds("", worst_ssim=0.99, worst_psnr_db=40.0)
SCORE = ImageScore("a fox", 0, 0.5, 20.0, 0.1, 0.99)


def drawn(reference: np.ndarray, image: np.ndarray, score: ImageScore = SCORE) -> Image.Image:
    content = draw_failure("bf16 regressed", "'a fox', seed 0", reference, image, score, BARS)
    return Image.open(io.BytesIO(content))


def gradient(side: int) -> np.ndarray:
    return np.repeat(np.linspace(0, 1, side * side, dtype=np.float32), 3).reshape(side, side, 3)


@pytest.mark.parametrize("side", [16, 64, 100])
def test_small_images_are_enlarged_by_a_whole_factor(side: int) -> None:
    picture = drawn(gradient(side), 1 - gradient(side))
    panel = side * (SIDE // side)
    assert picture.width == 3 * panel + 2 * 16 + 2 * 24


def test_the_panels_show_reference_and_image_unsmoothed() -> None:
    reference, image = np.zeros((64, 64, 3), np.float32), np.zeros((64, 64, 3), np.float32)
    reference[0, 0] = 1
    picture = np.asarray(drawn(reference, image))
    assert (picture[84:90, 24:30] == 255).all()
    assert (picture[90:96, 24:30] == 0).all()


def test_equal_images_draw_a_dark_map() -> None:
    picture = np.asarray(drawn(gradient(64), gradient(64)))
    assert picture[100, 24 + 2 * (384 + 16) + 50].max() < 10


def test_nan_and_another_size_are_drawn_as_far_as_they_go() -> None:
    spoilt = gradient(64)
    spoilt[3, 3] = np.nan
    unscored = ImageScore("a fox", 0, None, None, faults=("pixels are NaN",))
    assert drawn(gradient(64), spoilt, unscored).width > 0
    assert drawn(gradient(64), gradient(64)[:32], unscored).width > 0
