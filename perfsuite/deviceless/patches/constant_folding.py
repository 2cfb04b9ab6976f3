"""Inductor folds constants on the CPU.

Reason: it finds out which tensors hold one value everywhere by really making them, one element
large, on the device of the graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from perfsuite.deviceless.patches.hooks import find, replaced

_HOOK = "torch._inductor.fx_passes.joint_graph.UniformValueConstantFolder._deduce_value"


@contextlib.contextmanager
def folding_on_cpu() -> Iterator[None]:
    """Make the tensors of constant folding on the CPU.

    Raises:
        HookMoved: this inductor folds elsewhere.
    """
    deduce = find(_HOOK)

    def on_cpu(folder: Any, node: torch.fx.Node) -> Any:
        given = node.kwargs
        if torch.device(given.get("device") or "cpu").type != "cuda":  # type: ignore[arg-type]
            return deduce(folder, node)
        node.kwargs = {**given, "device": torch.device("cpu")}
        try:
            return deduce(folder, node)
        finally:
            node.kwargs = given

    with replaced(_HOOK, on_cpu):
        yield
