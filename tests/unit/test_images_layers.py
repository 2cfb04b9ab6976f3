"""Quantised layers against the same layers at full precision."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
import torch
from torch import nn

from perfsuite.images.layers import (
    Activation,
    capture_activations,
    quantised_layers,
    score_layer,
    score_layers,
)
from perfsuite.judge.layers import judge_layers
from perfsuite.report.messages import describe, say, say_all
from perfsuite.results.images import LayerScore, LayerThresholds
from perfsuite.results.picture_reasons import LayersMissed, NothingChecked
from perfsuite.results.verdict import Metric, Outcome, Verdict
from tests.unit.toy_family import StableDiffusionXLPipeline

THRESHOLDS = LayerThresholds("calibrated on 2 layers", relative_error=0.02, gain_error=0.005)


def test_equal_outputs_have_no_error_and_a_gain_of_one() -> None:
    outputs = torch.randn(8, 4)
    score = score_layer("a", outputs, outputs)
    assert score.relative_error == 0
    assert score.gain == pytest.approx(1)


def test_a_scale_that_is_off_shows_in_the_gain() -> None:
    outputs = torch.randn(8, 4)
    score = score_layer("a", outputs * 1.02, outputs)
    assert score.gain == pytest.approx(1.02)
    assert score.relative_error == pytest.approx(0.02, rel=1e-4)


def test_noise_shows_in_the_error_and_not_in_the_gain() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(4096, 16, generator=generator)
    noisy = outputs + 0.01 * torch.randn(4096, 16, generator=generator)
    score = score_layer("a", noisy, outputs)
    assert score.relative_error == pytest.approx(0.01, rel=0.05)
    assert score.gain == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_outputs_that_are_not_finite_are_infinitely_wrong(value: float) -> None:
    score = score_layer("a", torch.full((2, 2), value), torch.ones(2, 2))
    assert score.relative_error is None
    assert judge_layers([score], THRESHOLDS).outcome is Outcome.REGRESSED


def test_healthy_layers_pass_and_the_worst_is_named_first() -> None:
    verdict = judge_layers([LayerScore("a", 0.01, 1.0), LayerScore("b", 0.015, 1.001)], THRESHOLDS)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.layers is not None
    assert verdict.layers.thresholds == THRESHOLDS
    assert [score.layer for score in verdict.layers.scores] == ["b", "a"]
    assert (verdict.metric, verdict.measured) == (Metric.LAYERS, 0.015)
    assert "worst of 2 is b" in describe(verdict)


@pytest.mark.parametrize(
    "bad",
    [
        LayerScore("bad", 0.03, 1.0),
        LayerScore("bad", 0.01, 1.01),
        LayerScore("bad", 0.01, 0.99),
        LayerScore("bad", math.nan, 1.0),
    ],
)
def test_one_bad_layer_fails_them_all_and_is_named(bad: LayerScore) -> None:
    verdict = judge_layers([LayerScore("a", 0.015, 1.0), bad], THRESHOLDS)
    assert verdict.outcome is Outcome.REGRESSED
    (reason,) = verdict.reasons
    assert isinstance(reason, LayersMissed)
    assert (reason.layer, reason.others) == ("bad", 0)
    assert (reason.most_relative_error, reason.most_gain_error) == (0.02, 0.005)
    assert "layer bad:" in say_all(verdict.reasons)


def test_more_bad_layers_are_counted_behind_the_worst() -> None:
    bad = [LayerScore(name, error, 1.0) for name, error in (("a", 0.03), ("b", 0.05), ("c", 0.04))]
    verdict = judge_layers([*bad, LayerScore("d", 0.01, 1.0)], THRESHOLDS)
    assert verdict.measured == 0.05
    assert "layer b and 2 more: relative error 0.0500 (at most 0.0200)" in describe(verdict)


def test_a_check_of_quantised_layers_that_finds_none_is_broken_and_no_pass() -> None:
    verdict = judge_layers([], THRESHOLDS)
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.reasons == (NothingChecked("quantised layers"),)
    assert "there were no quantised layers to check" in describe(verdict)


def tiny_pipeline() -> Any:
    torch.manual_seed(0)
    unet = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 8))
    return StableDiffusionXLPipeline(unet=unet.eval(), vae=nn.Sequential(nn.Linear(8, 8)).eval())


def test_activations_are_kept_of_the_calls_that_are_asked_for() -> None:
    pipeline = tiny_pipeline()

    def make_image() -> None:
        for step in range(4):
            pipeline.unet(torch.full((1, 300, 32), float(step)))

    kept = capture_activations(pipeline, ["unet.0"], make_image, calls=(0, 2))
    assert list(kept) == ["unet.0"]
    first, later = kept["unet.0"]
    assert first.inputs.shape == (256, 32)
    assert (float(first.inputs[0, 0]), float(later.inputs[0, 0])) == (0.0, 2.0)


def test_a_layer_that_should_have_been_called_and_was_not_is_never_left_out() -> None:
    """Library code that takes a layer's weights past the layer, or calls it by another name."""
    exact = tiny_pipeline()

    def past_the_layer(inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(inputs, exact.unet[0].weight)

    exact.unet.forward = past_the_layer
    kept = capture_activations(
        exact, ["unet.0", "unet.lost", "vae.0"], lambda: exact.unet(torch.randn(1, 64, 32))
    )
    assert kept == {"unet.0": (), "unet.lost": ()}  # nothing has called the decoder
    layers = {"unet.0": exact.unet[0], "unet.lost": exact.unet[2]}
    verdict = judge_layers(score_layers(layers, kept), THRESHOLDS)
    assert verdict.outcome is Outcome.REGRESSED
    (said,) = [say(reason) for reason in verdict.reasons]
    assert said.endswith(" and 1 more: its outputs are not finite, or it had no inputs")
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict


def test_projections_that_a_fused_one_replaces_are_not_waited_for() -> None:
    from diffusers.models.attention_processor import Attention, FusedAttnProcessor2_0
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    def attending() -> Any:
        torch.manual_seed(0)
        pipeline = tiny_pipeline()
        pipeline.unet = nn.Sequential(Attention(32, heads=1, dim_head=32)).eval()
        pipeline.unet[0].fuse_projections()
        pipeline.unet[0].set_processor(FusedAttnProcessor2_0())
        return pipeline

    exact, quantised = attending(), attending()
    quantize_(quantised.unet, Int8DynamicActivationInt8WeightConfig())
    layers = quantised_layers(quantised)
    assert set(layers) == {"unet.0.to_qkv", "unet.0.to_out.0"}
    kept = capture_activations(exact, layers, lambda: exact.unet(torch.randn(1, 64, 32)))
    assert all(kept.values())
    assert set(kept) == set(layers)


def test_no_hook_stays_behind() -> None:
    pipeline = tiny_pipeline()
    with pytest.raises(RuntimeError):
        capture_activations(pipeline, ["unet.0"], lambda: pipeline.unet(torch.ones(1, 7)))
    assert not pipeline.unet[0]._forward_hooks


def test_layers_that_torchao_has_quantised_are_found_and_scored() -> None:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    exact, quantised = tiny_pipeline(), tiny_pipeline()
    quantize_(quantised.unet, Int8DynamicActivationInt8WeightConfig())
    layers = quantised_layers(quantised)
    assert set(layers) == {"unet.0", "unet.2"}
    kept = capture_activations(exact, layers, lambda: exact.unet(torch.randn(1, 64, 32)))
    scores = score_layers(layers, kept)
    assert {score.layer for score in scores} == {"unet.0", "unet.2"}
    assert all(0 < (score.relative_error or 0) < 0.03 for score in scores)
    assert judge_layers(scores, LayerThresholds("", 0.03, 0.01)).outcome is Outcome.PASSED


def test_a_layer_is_scored_on_all_calls_that_were_kept() -> None:
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.eye(2)
    right, wrong = torch.ones(1, 2), torch.zeros(1, 2)
    calls = (Activation(right, right), Activation(right, wrong))
    (score,) = score_layers({"a": layer}, {"a": calls})
    assert score.relative_error == pytest.approx(1)
