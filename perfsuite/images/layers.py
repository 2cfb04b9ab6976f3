"""Quantised layers, one by one, against the same layers at full precision.

A fault in one layer's scale or packing can hide in a picture that is made by hundreds of layers.
Held against the layer itself, on activations that a real image sends through it, it cannot.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from perfsuite.pipelines import Pipeline, family_of
from perfsuite.results.images import LayerScore

ROWS = 256
"""Activation vectors kept per layer and call: enough to tell 1 % from 2 %, little to keep."""

_FUSED = {
    "to_qkv": ("to_q", "to_k", "to_v"),
    "to_kv": ("to_k", "to_v"),
    "to_added_qkv": ("add_q_proj", "add_k_proj", "add_v_proj"),
}
"""By the name of a fused projection of diffusers' attention, those that it is made of."""


@dataclass(frozen=True)
class Activation:
    """What went into a layer and what came out of it at full precision, kept on the CPU.

    Attributes:
        inputs: rows x features, float32.
        outputs: rows x features, float32.
    """

    inputs: torch.Tensor
    outputs: torch.Tensor


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
        return LayerScore(layer, None, 0.0)
    difference = found - wanted
    return LayerScore(
        layer, math.sqrt(float(difference @ difference) / power), float(found @ wanted) / power
    )


def quantised_layers(pipeline: Pipeline) -> dict[str, nn.Linear]:
    """Linear layers of denoiser and decoder whose weights are torchao tensors, by name.

    Projections that a fused one has taken the place of are still there, and do nothing.
    """
    owners = _owners(pipeline)
    return {
        name: layer
        for name, layer in _linears(pipeline)
        if _is_quantised(layer) and not _is_superseded(name, owners.get(name))
    }


def capture_activations(
    pipeline: Pipeline,
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

    Returns:
        What was kept of each layer that takes part in an image; nothing of one that should have
        been called, as its owner was, and never was.
    """
    wanted = set(names)
    watched = {name: layer for name, layer in _linears(pipeline) if name in wanted}
    keepers = {name: _Keeper(frozenset(calls)) for name in watched}
    owners = {name: owner for name, owner in _owners(pipeline).items() if name in wanted}
    called: set[nn.Module] = set()
    with contextlib.ExitStack() as hooks, torch.no_grad():
        hooks.enter_context(torch.compiler.set_stance("force_eager"))
        for name, layer in watched.items():
            hooks.callback(layer.register_forward_hook(keepers[name]).remove)
        for owner in set(owners.values()):
            hooks.callback(owner.register_forward_hook(lambda it, *_: called.add(it)).remove)
        make_image()
    kept = {name: tuple(keeper.kept) for name, keeper in keepers.items()}
    # The encoder of an autoencoder takes no part: nothing calls what its layers belong to.
    return {
        name: kept.get(name, ())
        for name in wanted
        if kept.get(name) or name not in owners or owners[name] in called
    }


@torch.no_grad()
def score_layers(
    layers: Mapping[str, nn.Linear], activations: Mapping[str, tuple[Activation, ...]]
) -> tuple[LayerScore, ...]:
    """Score every layer on the activations that were captured for it.

    They go to the layer's device and come back one by one: those of all layers of SDXL are 4 GB.
    """
    scores = []
    for name, calls in activations.items():
        if not calls:
            scores.append(LayerScore(name, None, 0.0))
            continue
        layer = layers[name]
        weight = layer.weight
        outputs = torch.cat(
            [layer(call.inputs.to(weight.device, weight.dtype)).float().cpu() for call in calls]
        )
        scores.append(score_layer(name, outputs, torch.cat([call.outputs for call in calls])))
    return tuple(scores)


def _linears(pipeline: Pipeline) -> Iterator[tuple[str, nn.Linear]]:
    for part, module in family_of(pipeline).modules(pipeline).items():
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Linear):
                yield f"{part}.{name}", layer


def _owners(pipeline: Pipeline) -> dict[str, nn.Module]:
    """By the name of a layer, the nearest module above it that computes: no mere list of others."""
    owners: dict[str, nn.Module] = {}
    for part, module in family_of(pipeline).modules(pipeline).items():
        named = dict(module.named_modules())
        for name in named:
            above = name
            while above:
                above = above.rpartition(".")[0]
                if not isinstance(named[above], (nn.ModuleList, nn.ModuleDict)):
                    break
            if name:
                owners[f"{part}.{name}"] = named[above]
    return owners


def _is_superseded(name: str, owner: nn.Module | None) -> bool:
    """Whether a fused projection of diffusers' attention does a layer's work."""
    if owner is None or not getattr(owner, "fused_projections", False):
        return False
    own = name.rpartition(".")[2]
    return any(own in parts and hasattr(owner, fused) for fused, parts in _FUSED.items())


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
    return rows[:: max(1, rows.shape[0] // ROWS)][:ROWS].float().cpu().clone()
