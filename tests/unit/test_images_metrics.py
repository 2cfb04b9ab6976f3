"""Metrics and checks without a reference, on small arrays."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from perfsuite.errors import SettingsError
from perfsuite.images.metrics import (
    SSIM_WINDOW_PX,
    check_scorable,
    latent_cosine,
    mean_absolute_difference,
    psnr_db,
    ssim,
    visible_faults,
)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def test_mean_absolute_difference_of_one_level_everywhere_is_that_level() -> None:
    image = np.full((16, 16, 3), 0.5, dtype=np.float32)
    assert mean_absolute_difference(image + np.float32(1 / 255), image) == pytest.approx(1 / 255)


def test_mean_absolute_difference_weighs_one_large_error_as_many_small_ones() -> None:
    black = np.zeros((10, 10, 3), dtype=np.float32)
    spot = black.copy()
    spot[0, 0] = 1
    assert mean_absolute_difference(spot, black) == pytest.approx(1 / 100)


def test_metrics_refuse_images_of_different_sizes() -> None:
    with pytest.raises(ValueError, match="against a reference"):
        mean_absolute_difference(noise(8, 8, 3), noise(8, 9, 3))


def test_psnr_of_float_pixels_sees_what_eight_bits_cannot_hold() -> None:
    image = noise(16, 16, 3)
    assert psnr_db(image + np.float32(1e-4), image) == pytest.approx(80, abs=0.1)


def test_latent_cosine_of_equal_latents_is_one_whatever_their_length() -> None:
    latents = noise(4, 8, 8) - np.float32(0.5)
    assert latent_cosine(latents * 3, latents) == pytest.approx(1)


def test_latent_cosine_of_opposite_latents_is_minus_one() -> None:
    latents = noise(4, 8, 8)
    assert latent_cosine(-latents, latents) == pytest.approx(-1)


def test_latent_cosine_of_a_right_angle_is_zero() -> None:
    one, other = np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 2), np.float32)
    one[0, 0, 0], other[0, 1, 1] = 1, 1
    assert latent_cosine(one, other) == 0


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_latents_without_a_direction_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="no direction"):
        latent_cosine(np.full((4, 2, 2), value, np.float32), noise(4, 2, 2))


def test_latents_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="against a reference"):
        latent_cosine(noise(4, 2, 2), noise(4, 2, 3))


def faults_of(pixels: np.ndarray, latents: np.ndarray | None = None) -> tuple[str, ...]:
    return visible_faults(
        pixels, noise(4, 2, 2) if latents is None else latents, height=16, width=16
    )


def test_an_ordinary_image_has_no_visible_fault() -> None:
    assert faults_of(noise(16, 16, 3)) == ()


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((16, 16, 3), np.float32), "black"),
        (np.full((16, 16, 3), 0.5, np.float32), "flat"),
        (np.round(noise(16, 16, 3)), "saturated"),
        (np.full((16, 16, 3), np.nan, np.float32), "NaN"),
        (noise(8, 16, 3), r"\(8, 16, 3\), not \(16, 16, 3\)"),
    ],
)
def test_a_visible_fault_is_named(pixels: np.ndarray, said: str) -> None:
    (fault,) = faults_of(pixels)
    assert re.search(said, fault)


def test_latents_that_are_not_finite_are_named_whatever_the_image_shows() -> None:
    latents = noise(4, 2, 2)
    latents[0, 0, 0] = np.inf
    assert faults_of(noise(16, 16, 3), latents) == ("latents are NaN or infinite",)


@pytest.mark.parametrize("side", [10, 11])
def test_the_smallest_image_that_is_let_through_is_the_smallest_that_ssim_takes(side: int) -> None:
    image = noise(side, 64, 3)
    if side < SSIM_WINDOW_PX:
        with pytest.raises(SettingsError, match="64x10 pixels are smaller"):
            check_scorable(side, 64)
        with pytest.raises(ValueError, match="win_size"):
            ssim(image, image)
    else:
        check_scorable(side, 64)
        assert ssim(image, image) == pytest.approx(1.0)
