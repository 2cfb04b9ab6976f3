"""Linear layers that see too few rows for the int8 product of small NVIDIA GPUs.

On a GPU of fewer than 68 multiprocessors inductor has no template for an int8 product and calls
cuBLAS's, `aten._int_mm`, which refuses matrices of 16 rows or fewer. The layers that embed the time
step see one row for each image of the batch, twice with guidance.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from perfsuite.pipelines import Pipeline, family_of
from perfsuite.workload import Workload

FEWEST_ROWS = 17
"""That `aten._int_mm` takes on CUDA."""
_FEWEST_MULTIPROCESSORS = 68
"""From which inductor tunes templates of its own (`torch._inductor.utils.is_big_gpu`)."""


def needs_rows(torch_device: str) -> bool:
    """Whether int8 products on a device go through cuBLAS, which wants rows."""
    if torch_device != "cuda" or torch.version.hip is not None:
        return False
    properties = torch.cuda.get_device_properties(0)
    return bool(properties.multi_processor_count < _FEWEST_MULTIPROCESSORS)


def layers_of_few_rows(
    pipeline: Pipeline, workload: Workload, concerned: Callable[[nn.Module], bool]
) -> frozenset[str]:
    """Names of Linear layers that see fewer than `FEWEST_ROWS` rows in some call.

    One denoising step is made and looked at: names of layers and what they are fed differ between
    families.

    Args:
        pipeline: before it is quantised and compiled.
        workload: that it will be asked for; one step of it is made.
        concerned: tells which layers matter.
    """
    fewest: dict[str, int] = {}
    with contextlib.ExitStack() as hooks, torch.no_grad():
        for part, module in family_of(pipeline).modules(pipeline).items():
            for name, layer in module.named_modules():
                if concerned(layer):
                    hook = _noting(fewest, f"{part}.{name}")
                    hooks.callback(layer.register_forward_pre_hook(hook).remove)
        family_of(pipeline).call(pipeline, replace(workload, steps=1), next(workload.shots()))
    return frozenset(name for name, rows in fewest.items() if rows < FEWEST_ROWS)


def _noting(fewest: dict[str, int], name: str) -> Callable[[nn.Module, Any], None]:
    def note(_: nn.Module, inputs: Any) -> None:
        rows = inputs[0].numel() // inputs[0].shape[-1]
        fewest[name] = min(rows, fewest.get(name, rows))

    return note
