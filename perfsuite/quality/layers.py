"""Quantised layers, one by one, against the same layers at full precision.

A fault in one layer's scale or packing can hide in a picture that is made by hundreds of layers.
Held against the layer itself, on activations that a real image sends through it, it cannot.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from perfsuite.judge import Outcome

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

ROWS = 256
"""Activation vectors kept per layer and call: enough to tell 1 % from 2 %, little to keep."""
ASSUMED_ERROR = 0.03
"""Relative error that a healthy int8 layer stays below, where none has been calibrated."""
ASSUMED_GAIN_ERROR = 0.01
"""The same for the gain."""


@dataclass(frozen=True)
class Activation:
    """What went into a layer and what came out of it at full precision.

    Attributes:
        inputs: rows x features, float32.
        outputs: rows x features, float32.
    """

    inputs: torch.Tensor
    outputs: torch.Tensor


@dataclass(frozen=True)
class LayerScore:
    """How near a quantised layer is to the layer at full precision.

    Attributes:
        layer: its name in the pipeline.
        relative_error: length of the outputs' difference over the length of the outputs.
        gain: factor by which outputs are too long on average; 1 is right. Rounding leaves it at 1,
            a wrong scale does not.
    """

    layer: str
    relative_error: float
    gain: float


@dataclass(frozen=True)
class LayerBars:
    """What every quantised layer has to reach.

    Attributes:
        source: where the bars are from, for people.
        relative_error: highest relative error.
        gain_error: highest deviation of the gain from 1.
    """

    source: str
    relative_error: float
    gain_error: float


ASSUMED_BARS = LayerBars("assumed, not calibrated", ASSUMED_ERROR, ASSUMED_GAIN_ERROR)


@dataclass(frozen=True)
class LayersVerdict:
    """Whether every quantised layer still computes what it should.

    Attributes:
        outcome: `passed` or `regressed`.
        reason: one line for people.
        bars: what was asked for.
        scores: one for each layer, worst relative error first.
    """

    outcome: Outcome
    reason: str
    bars: LayerBars
    scores: tuple[LayerScore, ...]

    @property
    def margins_db(self) -> list[float]:
        """How far beyond each bar the worst layer is, in dB; below 0 it is within."""
        if not self.scores:
            return []
        error = max(score.relative_error for score in self.scores) / self.bars.relative_error
        gain = max(abs(score.gain - 1) for score in self.scores) / self.bars.gain_error
        return [20 * math.log10(max(share, 1e-6)) for share in (error, gain) if share < math.inf]


def judge_layers(scores: Iterable[LayerScore], bars: LayerBars) -> LayersVerdict:
    """The worst layer decides; a NaN never passes."""
    ordered = tuple(sorted(scores, key=_badness, reverse=True))
    failing = [each for each in ordered if not _reaches(each, bars)]
    if not failing:
        return LayersVerdict(Outcome.PASSED, "", bars, ordered)
    worst = failing[0]
    more = f" and {len(failing) - 1} more" if len(failing) > 1 else ""
    reason = (
        f"layer {worst.layer}{more}: relative error {worst.relative_error:.4f} "
        f"(at most {bars.relative_error:.4f}), gain {worst.gain:.4f} "
        f"(1 ± {bars.gain_error:.4f})"
    )
    return LayersVerdict(Outcome.REGRESSED, reason, bars, ordered)


def score_layer(layer: str, outputs: torch.Tensor, reference: torch.Tensor) -> LayerScore:
    """Relative error and gain of a layer's outputs, in float64.

    Args:
        layer: its name.
        outputs: of the quantised layer.
        reference: of the layer at full precision, of the same shape.
    """
    found, wanted = outputs.double().flatten(), reference.double().flatten()
    power = float(wanted @ wanted)
    if power == 0 or not bool(torch.isfinite(found).all()):
        return LayerScore(layer, math.inf, 0.0)
    difference = found - wanted
    return LayerScore(
        layer, math.sqrt(float(difference @ difference) / power), float(found @ wanted) / power
    )


def quantised_layers(pipeline: StableDiffusionXLPipeline) -> dict[str, nn.Linear]:
    """Linear layers of UNet and VAE whose weights are torchao tensors, by name."""
    return {name: layer for name, layer in _linears(pipeline) if _is_quantised(layer)}


def capture_activations(
    pipeline: StableDiffusionXLPipeline,
    names: Iterable[str],
    make_image: Callable[[], object],
    *,
    calls: Iterable[int] = (0,),
) -> dict[str, tuple[Activation, ...]]:
    """Inputs and outputs of layers while an image is made; compiled code runs eagerly meanwhile.

    Args:
        pipeline: at full precision, with the same layers.
        names: layers to watch.
        make_image: makes one image with the pipeline.
        calls: which calls of each layer to keep, counted from 0.
    """
    wanted = set(names)
    watched = {name: layer for name, layer in _linears(pipeline) if name in wanted}
    keepers = {name: _Keeper(frozenset(calls)) for name in watched}
    with contextlib.ExitStack() as hooks, torch.no_grad():
        hooks.enter_context(torch.compiler.set_stance("force_eager"))
        for name, layer in watched.items():
            hooks.callback(layer.register_forward_hook(keepers[name]).remove)
        make_image()
    return {name: tuple(keeper.kept) for name, keeper in keepers.items() if keeper.kept}


@torch.no_grad()
def score_layers(
    layers: Mapping[str, nn.Linear], activations: Mapping[str, tuple[Activation, ...]]
) -> tuple[LayerScore, ...]:
    """Score every layer on the activations that were captured for it."""
    scores = []
    for name, calls in activations.items():
        layer = layers[name]
        dtype = layer.weight.dtype
        outputs = torch.cat([layer(call.inputs.to(dtype)).float() for call in calls])
        scores.append(score_layer(name, outputs, torch.cat([call.outputs for call in calls])))
    return tuple(scores)


def _linears(pipeline: StableDiffusionXLPipeline) -> Iterator[tuple[str, nn.Linear]]:
    for part in ("unet", "vae"):
        module: Any = getattr(pipeline, part)
        module = getattr(module, "_orig_mod", module)
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Linear):
                yield f"{part}.{name}", layer


def _is_quantised(layer: nn.Linear) -> bool:
    return type(layer.weight).__module__.startswith("torchao") or type(
        layer.weight.data
    ).__module__.startswith("torchao")


class _Keeper:
    """A forward hook that keeps a sample of what a layer sees and says in some of its calls."""

    def __init__(self, calls: frozenset[int]) -> None:
        self._wanted, self._calls = calls, 0
        self.kept: list[Activation] = []

    def __call__(self, _: nn.Module, inputs: Any, outputs: torch.Tensor) -> None:
        if self._calls in self._wanted:
            self.kept.append(Activation(_sample(inputs[0]), _sample(outputs)))
        self._calls += 1


def _sample(values: torch.Tensor) -> torch.Tensor:
    rows = values.detach().reshape(-1, values.shape[-1])
    return rows[:: max(1, rows.shape[0] // ROWS)][:ROWS].float().clone()


def _reaches(score: LayerScore, bars: LayerBars) -> bool:
    return score.relative_error <= bars.relative_error and abs(score.gain - 1) <= bars.gain_error


def _badness(score: LayerScore) -> float:
    error = score.relative_error
    return math.inf if math.isnan(error) else error
