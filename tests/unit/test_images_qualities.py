"""What one picture looks like, in numbers."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.images.metrics import Pixels
from perfsuite.images.qualities import LARGEST_PX, colourfulness, gradient, look, spread_of_seeds
from perfsuite.results.pictures import Quality

NOISE = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
GREY = np.full((64, 64, 3), 0.5, dtype=np.float32)


def test_a_grey_picture_has_brightness_alone() -> None:
    assert look(GREY) == pytest.approx(
        {
            Quality.SHARPNESS: 0,
            Quality.GRAIN: 0,
            Quality.CONTRAST: 0,
            Quality.COLOUR: 0,
            Quality.BRIGHTNESS: 0.5,
        },
        abs=1e-6,
    )


def test_the_gradient_of_a_ramp_is_its_slope() -> None:
    ramp = np.tile(np.linspace(0, 1, 11), (11, 1))
    assert gradient(ramp).shape == (10, 10)
    assert gradient(ramp) == pytest.approx(0.1)


def test_a_blurred_picture_is_less_sharp() -> None:
    turned = np.stack((NOISE, np.roll(NOISE, 1, 0), np.roll(NOISE, 1, 1)))
    blurred: Pixels = turned.mean(axis=0, dtype=np.float32)
    assert look(blurred)[Quality.SHARPNESS] < look(NOISE)[Quality.SHARPNESS]


def test_a_mottled_sky_has_grain_and_no_harder_edges() -> None:
    plain = np.zeros((64, 64, 3), dtype=np.float32)
    plain[:, 32:] = 1
    mottled: Pixels = np.clip(plain + 0.05 * NOISE, 0, 1)
    assert look(plain)[Quality.GRAIN] == 0 < look(mottled)[Quality.GRAIN] < 0.05


def test_colourfulness_of_pure_red_is_the_papers() -> None:
    red = np.zeros((4, 4, 3))
    red[..., 0] = 1
    # rg = 1 and yb = 0.5 everywhere: no spread, and 0.3 times the length of the mean.
    assert colourfulness(red) == pytest.approx(0.3 * np.hypot(1, 0.5))


def test_an_array_that_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="not height x width x 3"):
        look(NOISE[..., 0])


def test_equal_pictures_have_no_diversity_and_others_have() -> None:
    assert spread_of_seeds([NOISE, NOISE]) == pytest.approx(0, abs=1e-6)
    assert spread_of_seeds([NOISE, NOISE[::-1]]) > 0.9
    with pytest.raises(ValueError, match="no diversity"):
        spread_of_seeds([NOISE])


def test_large_pictures_are_compared_small() -> None:
    side = 2 * LARGEST_PX
    large = np.random.default_rng(1).random((side, side, 3), dtype=np.float32)
    assert spread_of_seeds([large, large]) == pytest.approx(0, abs=1e-6)
