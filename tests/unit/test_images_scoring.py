from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsuite.images.metrics import Pixels, as_eight_bits, psnr_db, ssim


def picture(seed: int = 0, height: int = 20, width: int = 16) -> Pixels:
    values = np.random.default_rng(seed).random((height, width, 3))
    return values.astype(np.float32)


def noisy(image: Pixels, amount: float, seed: int = 9) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, amount, image.shape)
    return np.clip(image + noise, 0, 1).astype(np.float32)


def literal_ssim(image: Pixels, reference: Pixels) -> float:
    """Equations 13 to 17 of Wang et al. 2004, one window after another, in double precision.

    11 x 11 circular-symmetric Gaussian window of sigma 1.5 and sum 1, K1 = 0.01, K2 = 0.03, L = 1;
    only windows that lie wholly within the image; mean over windows and channels.
    """
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = 0.01**2, 0.03**2
    similarities = []
    for channel in range(3):
        for top in range(image.shape[0] - 10):
            for left in range(image.shape[1] - 10):
                x = image[top : top + 11, left : left + 11, channel].astype(np.float64)
                y = reference[top : top + 11, left : left + 11, channel].astype(np.float64)
                mean_x, mean_y = (window * x).sum(), (window * y).sum()
                variance_x = (window * (x - mean_x) ** 2).sum()
                variance_y = (window * (y - mean_y) ** 2).sum()
                covariance = (window * (x - mean_x) * (y - mean_y)).sum()
                similarities.append(
                    (2 * mean_x * mean_y + c1)
                    * (2 * covariance + c2)
                    / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))
                )
    return float(np.mean(similarities))


@pytest.mark.parametrize("amount", [0.0, 0.02, 0.2, 1.0])
def test_ssim_is_that_of_the_paper(amount: float) -> None:
    reference = picture()
    image = noisy(reference, amount)
    assert ssim(image, reference) == pytest.approx(literal_ssim(image, reference), abs=1e-5)


def test_ssim_of_two_unlike_pictures_is_that_of_the_paper() -> None:
    one, other = picture(1), picture(2)
    assert ssim(one, other) == pytest.approx(literal_ssim(one, other), abs=1e-5)
    assert abs(ssim(one, other)) < 0.2


def test_ssim_of_two_flat_pictures_is_their_luminance_term() -> None:
    # (2 * 0.2 * 0.6 + C1) / (0.2**2 + 0.6**2 + C1) with C1 = 0.0001; contrast and structure are 1.
    one, other = (np.full((16, 16, 3), value, np.float32) for value in (0.2, 0.6))
    assert ssim(one, other) == pytest.approx(0.2401 / 0.4001, abs=1e-4)


def test_ssim_of_a_negative_is_below_zero() -> None:
    image = picture()
    assert ssim(1 - image, image) < 0


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_ssim_is_symmetric_and_one_for_equal_pictures(one: int, other: int) -> None:
    image, reference = picture(one), picture(other)
    assert ssim(image, reference) == pytest.approx(ssim(reference, image), abs=1e-6)
    assert ssim(image, image) == pytest.approx(1.0, abs=1e-6)
    assert ssim(image, reference) <= 1 + 1e-6


def test_ssim_and_psnr_fall_with_noise() -> None:
    image = picture(3, 40, 40)
    noise = [noisy(image, amount) for amount in (0.01, 0.03, 0.1, 0.3)]
    for metric in (ssim, psnr_db):
        scores = [metric(each, image) for each in noise]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > scores[-1]


@pytest.mark.parametrize(("difference", "expected"), [(0.1, 20.0), (0.01, 40.0), (1.0, 0.0)])
def test_psnr_of_an_even_difference_is_known(difference: float, expected: float) -> None:
    dark = np.zeros((16, 16, 3), np.float32)
    assert psnr_db(dark + np.float32(difference), dark) == pytest.approx(expected, abs=1e-5)


def test_psnr_of_equal_pictures_is_infinite() -> None:
    assert psnr_db(picture(), picture()) == math.inf


@pytest.mark.parametrize("metric", [ssim, psnr_db])
def test_pictures_of_other_shapes_are_refused(metric: Callable[[Pixels, Pixels], float]) -> None:
    with pytest.raises(ValueError, match=r"\(20, 16, 3\) against a reference of \(16, 20, 3\)"):
        metric(picture(), picture(0, 16, 20))


@pytest.mark.parametrize("metric", [ssim, psnr_db])
@pytest.mark.parametrize("shape", [(16, 16), (3, 16, 16), (1, 16, 16, 3), (16, 16, 4)])
def test_arrays_that_are_no_pictures_are_refused(
    metric: Callable[[Pixels, Pixels], float], shape: tuple[int, ...]
) -> None:
    array = np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match="not height x width x 3"):
        metric(array, array)


def test_a_picture_smaller_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError):
        ssim(picture(0, 10, 10), picture(0, 10, 10))


def test_eight_bits_are_256_levels_and_clip_what_is_out_of_range() -> None:
    values = np.array([-0.5, 0, 0.4999 / 255, 0.5001 / 255, 1, 1.5, math.pi / 10], np.float32)
    pixels = np.broadcast_to(values[:, None, None], (7, 1, 3))
    levels = as_eight_bits(pixels)[:, 0, 0] * 255
    assert levels == pytest.approx([0, 0, 0, 1, 255, 255, 80], abs=1e-4)
    assert np.array_equal(as_eight_bits(as_eight_bits(pixels)), as_eight_bits(pixels))
