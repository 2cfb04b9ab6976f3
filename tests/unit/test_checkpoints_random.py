"""Weights of sdxl-random: the same numbers wherever they are drawn."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from perfsuite.checkpoints.random import _draw_weights, _fill


def test_the_numbers_are_fixed_once_and_for_all() -> None:
    # By integer arithmetic that every device does alike: no generator is asked.
    weight = torch.empty(1000, 64)
    torch.manual_seed(1)
    _fill(weight, "0 conv_in.weight", 1.0)
    digest = hashlib.sha256(weight.numpy().tobytes()).hexdigest()
    assert digest[:16] == "dbd265092362ef42"


def test_weights_keep_the_variance_of_what_goes_through() -> None:
    with torch.device("meta"):
        layer = nn.Linear(4096, 256)
    _draw_weights(layer, torch.float32, "cpu", 0)
    assert abs(float(layer.weight.mean())) < 1e-4
    assert abs(float(layer.weight.var()) * 4096 - 1) < 0.01
    assert float(layer.bias.abs().max()) == 0
    out = layer(torch.randn(64, 4096))
    assert 0.9 < float(out.std()) < 1.1


def test_weights_of_two_names_or_seeds_have_nothing_in_common() -> None:
    drawn = []
    for key in ("0 a.weight", "0 b.weight", "1 a.weight"):
        weight = torch.empty(256, 256)
        _fill(weight, key, 1.0)
        drawn.append(weight.flatten())
    correlations = torch.corrcoef(torch.stack(drawn)) - torch.eye(3)
    assert float(correlations.abs().max()) < 0.02
    # Nor have neighbours in one of them.
    shifted = torch.corrcoef(torch.stack([drawn[0][:-1], drawn[0][1:]]))[0, 1]
    assert abs(float(shifted)) < 0.02
