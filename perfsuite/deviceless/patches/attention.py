"""Which kernel scaled_dot_product_attention takes is pinned, as a stated assumption.

Reason: torch chooses in C++ by what the driver says of the device, and without a driver it always
answers 'math', which no GPU of today would run. Pinned is what torch prefers on CUDA, by the limits
that its documentation names: FlashAttention for half precision without a mask and heads of at most
256, else the memory-efficient kernel. On some cards and versions torch prefers cuDNN's.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import torch

ASSUMPTION = (
    "attention is assumed to run FlashAttention (half precision, no mask, heads up to 256) or the "
    "memory-efficient kernel"
)
_HALF = (torch.float16, torch.bfloat16)
_LARGEST_FLASH_HEAD = 256


@contextlib.contextmanager
def pinned_attention() -> Iterator[None]:
    """Choose the kernel without asking a driver, for tensors on CUDA."""
    library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that its own choice is overridden: it is
        for key in ("AutogradCUDA", "CUDA"):
            library.impl("scaled_dot_product_attention", _attend, key)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        library._destroy()  # type: ignore[no-untyped-call]


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    aten = torch.ops.aten
    if attn_mask is None and query.dtype in _HALF and query.shape[-1] <= _LARGEST_FLASH_HEAD:
        flash = aten._scaled_dot_product_flash_attention
        return flash(query, key, value, dropout_p, is_causal, False, scale=scale)[0]  # type: ignore[no-any-return]
    efficient = aten._scaled_dot_product_efficient_attention
    bias = _as_bias(attn_mask, query.dtype)
    return efficient(query, key, value, bias, False, dropout_p, is_causal, scale=scale)[0]  # type: ignore[no-any-return]


def _as_bias(mask: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor | None:
    """A mask of truth values as what is added to the scores, as torch turns it."""
    if mask is None or mask.dtype is not torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(mask.logical_not(), float("-inf"))
