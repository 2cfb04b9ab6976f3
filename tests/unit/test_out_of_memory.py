from __future__ import annotations

import sys
import weakref

import pytest
import torch

from perfsuite.out_of_memory import is_out_of_memory, let_go


class Wrapped(RuntimeError):
    """As dynamo and inductor wrap what they meet."""

    def __init__(self, inner: Exception) -> None:
        super().__init__("backend='inductor' raised:")
        self.inner_exception = inner


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError(
            "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"
        ),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"),
        Wrapped(torch.OutOfMemoryError("CUDA out of memory")),
    ],
    ids=lambda error: str(error)[:40],
)
def test_memory_that_ran_out_is_told_in_many_ways(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasGemmEx(...)`"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("out of memory is no name of a tier"),
    ],
    ids=lambda error: str(error)[:40],
)
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_what_an_error_was_raised_from_counts() -> None:
    error = KeyError("weights")
    error.__cause__ = torch.OutOfMemoryError("CUDA out of memory")
    assert is_out_of_memory(error)


def test_a_traceback_that_is_let_go_keeps_no_module_alive() -> None:
    known: list[weakref.ref[torch.nn.Module]] = []

    def fail() -> None:
        module = torch.nn.Linear(2, 2)
        known.append(weakref.ref(module))

        def forward() -> None:
            module.eval()
            raise torch.OutOfMemoryError("CUDA out of memory")

        forward()

    try:
        fail()
    except torch.OutOfMemoryError as error:
        kept = error
    assert known[0]() is not None
    let_go(kept)
    assert known[0]() is None
    if sys.version_info >= (3, 11):
        assert "in fail" in kept.__notes__[0]
