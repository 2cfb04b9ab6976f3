"""LPIPS is optional, and says what is missing."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from perfsuite.errors import MetricUnavailable
from perfsuite.images.perceptual import PerceptualDistance


def package_with(network: Any) -> ModuleType:
    module = ModuleType("lpips")
    module.LPIPS = network  # type: ignore[attr-defined]
    return module


class Network:
    """Mean difference in the range that the real network is given: -1 to 1."""

    def __init__(self, net: str, verbose: bool) -> None:
        assert net == "alex"

    def eval(self) -> Network:
        return self

    def __call__(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        assert one.shape == (1, 3, 64, 64)
        return (one - other).abs().mean()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(MetricUnavailable, match=r"pip install 'perfsuite\[lpips\]'"):
        PerceptualDistance()


def test_without_weights_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(**options: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setitem(sys.modules, "lpips", package_with(no_network))
    with pytest.raises(MetricUnavailable, match=r"no AlexNet weights .*no route to host"):
        PerceptualDistance()


def test_pixels_are_given_in_the_range_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", package_with(Network))
    black, white = np.zeros((64, 64, 3), np.float32), np.ones((64, 64, 3), np.float32)
    assert PerceptualDistance()(white, black) == pytest.approx(2)
    with pytest.raises(ValueError, match="against a reference"):
        PerceptualDistance()(white, black[:32])
