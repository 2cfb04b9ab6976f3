"""Which errors say that memory ran out, and freeing what their tracebacks keep alive."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

# What libraries below torch's allocator say. cuBLAS, cuDNN and the driver allocate for themselves
# (workspaces, handles, instantiated graphs), and torch passes their words on in a RuntimeError.
_WORDS = (
    "out of memory",
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "HIPBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "ALLOCATION_FAILED",
    "cudaErrorMemoryAllocation",
    "hipErrorOutOfMemory",
    "UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY",
)
_HANDLE = "cublasCreate"
"""It fails as 'not initialized' where no memory is left for its handle."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, says that memory ran out.

    Args:
        error: of any library; inductor and dynamo wrap what they meet.
    """
    return any(_says_so(each) for each in _chain(error))


def let_go(error: BaseException) -> None:
    """Cut an error's tracebacks: their frames keep a pipeline's modules alive.

    Whoever keeps the error (pytest does) would keep the modules. Clearing the frames is not enough,
    since a frame keeps its function, and the closures around compiled and hooked modules hold them.
    Where it was raised is left as a note, in words, on Pythons that have notes.
    """
    for each in _chain(error):
        where = "".join(traceback.format_tb(each.__traceback__))
        parts, part = [], each.__traceback__
        while part is not None:
            parts.append(part)
            part = part.tb_next
        for part in parts:
            part.tb_next = None
        traceback.clear_frames(each.__traceback__)
        if len(parts) > 1 and hasattr(each, "add_note"):
            each.add_note(f"raised in:\n{where}")


def _says_so(error: BaseException) -> bool:
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    if not isinstance(error, RuntimeError):
        return False
    said = str(error)
    return any(words in said for words in _WORDS) or (_HANDLE in said and "NOT_INITIALIZED" in said)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it was raised from, each once."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__, getattr(each, "inner_exception", None)]
