"""What layers a pipeline has, and what their weights are stored in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import nn

from perfsuite.results.counters import LayerCensus, WeightBytes

WhyNot = Callable[[nn.Linear], str | None]
"""Why a Linear layer is not to be quantised; None of one that is."""
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_SWAPPED = "PermuteSandwich"
"""Class that torchao puts around the Linear in a 1x1 convolution's place."""


def weight_bytes(roots: Mapping[str, nn.Module]) -> tuple[WeightBytes, ...]:
    """Bytes of every component's parameters and buffers, by dtype."""
    found: Counter[tuple[str, str]] = Counter()
    for root, module in roots.items():
        seen: set[int] = set()
        for _, tensor in (*module.named_parameters(), *module.named_buffers()):
            for part in plain_tensors(tensor):
                if id(part) not in seen:
                    seen.add(id(part))
                    found[root, _dtype(part)] += part.numel() * part.element_size()
    return tuple(WeightBytes(root, dtype, n) for (root, dtype), n in sorted(found.items()))


def layer_census(roots: Mapping[str, nn.Module], why_not: WhyNot | None) -> LayerCensus:
    """Every layer that has weights, and what the int8 filter says of the Linear ones.

    Args:
        roots: modules by the names that begin their layers' paths.
        why_not: the filter of a tier that quantises; None of one that does not.
    """
    layers = {path: describe(module) for path, module in _layers(roots)}
    swapped = [path for path, module in _modules(roots) if type(module).__name__ == _SWAPPED]
    linear = [(path, module) for path, module in _layers(roots) if isinstance(module, nn.Linear)]
    quantised = tuple(path for path, module in linear if is_quantised(module))
    skipped, missed, unwanted = {}, [], []
    if why_not is not None:
        for path, module in linear:
            reason = why_not(module)
            if is_quantised(module):
                unwanted += [path] if reason is not None else []
            elif reason is None:
                missed.append(path)
            else:
                skipped[path] = reason
    return LayerCensus(
        layers, quantised, skipped, tuple(missed), tuple(unwanted), tuple(sorted(swapped))
    )


def describe(layer: nn.Module) -> str:
    """A layer in words: class, what its weight is stored in, and its memory format."""
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    stored = type(weight.data).__name__ if _is_wrapper(weight.data) else _dtype(weight)
    words = [type(layer).__name__, stored]
    if isinstance(layer, _CONVOLUTIONS) and is_channels_last(weight):
        words.append("channels_last")
    return " ".join(words)


def is_channels_last(weight: torch.Tensor) -> bool:
    """Whether a weight lies in channels_last, and not just so that both formats are the same."""
    return (
        weight.dim() == 4
        and weight.is_contiguous(memory_format=torch.channels_last)
        and not weight.is_contiguous()
    )


def is_quantised(layer: nn.Module) -> bool:
    """Whether a layer's weight is a tensor of torchao's, or of integers."""
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    return _is_wrapper(weight.data) or not weight.is_floating_point()


def plain_tensors(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """The tensors that one is made of: those inside a subclass that wraps others, or itself."""
    if not _is_wrapper(tensor.data):
        yield tensor
        return
    names, _ = tensor.data.__tensor_flatten__()  # type: ignore[attr-defined]
    for name in names:
        inner = getattr(tensor.data, name)
        if isinstance(inner, torch.Tensor):
            yield from plain_tensors(inner)


def _is_wrapper(tensor: torch.Tensor) -> bool:
    return hasattr(tensor, "__tensor_flatten__") and type(tensor) is not torch.Tensor


def _layers(roots: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    for path, module in _modules(roots):
        own = dict(module.named_parameters(recurse=False))
        if own.get("weight") is not None:
            yield path, module


def _modules(roots: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    for root, top in roots.items():
        for name, module in top.named_modules():
            yield (f"{root}.{name}" if name else root), module


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
