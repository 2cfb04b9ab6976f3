"""`Module.to` puts new parameters in the place of fake ones.

Reason: torch swaps the contents of fake parameters and refuses where something refers to them, and
FakeTensorMode itself does. Replacing the parameter comes to the same for a pipeline in the making.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import nn

from perfsuite.deviceless.patches.hooks import replaced


@contextlib.contextmanager
def replacing_conversion() -> Iterator[None]:
    """Let modules of fake tensors be converted.

    Raises:
        HookMoved: this torch converts modules elsewhere.
    """
    with replaced("torch.nn.Module._apply", _apply):
        yield


def _apply(
    module: nn.Module, convert: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True
) -> nn.Module:
    if recurse:
        for child in module.children():
            child._apply(convert)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = nn.Parameter(convert(weight), weight.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = convert(buffer)
    return module
