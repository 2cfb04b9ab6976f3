"""torchao's int8 product goes straight to `torch._int_mm`.

Reason: torchao tries the product in a higher-order operator that fake tensors do not know
(`NotImplemented`), and looks at the device's capability. On a GPU both ways end in the same
operator.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from perfsuite.deviceless.patches.hooks import replaced


@contextlib.contextmanager
def plain_int8_product() -> Iterator[None]:
    """Compute torchao's int8 products by the operator that a GPU would run.

    Raises:
        HookMoved: this torchao has its product elsewhere.
    """
    with replaced("torchao.kernel.intmm.safe_int_mm", _product):
        yield


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return torch._int_mm(left, right)
