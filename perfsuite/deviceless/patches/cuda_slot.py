"""A CPU build of torch has nothing at the place of the CUDA device: it gets the CPU's own guard.

Reason: indexing and copying ask the device's guard even for fake tensors, and a build without CUDA
has none ('PyTorch is not linked with support for cuda devices'). The CPU's guard does nothing,
which is what fake tensors need. A CUDA build has its own and is left alone.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from pathlib import Path

import torch

from perfsuite.errors import HookMoved

_LIBRARY = Path(torch.__file__).parent / "lib" / "libc10.so"
_REGISTRY = "_ZN3c104impl26device_guard_impl_registryE"
"""`c10::impl::device_guard_impl_registry`: a pointer for each device type."""
_CPU, _CUDA = 0, 1
_DEVICE_TYPES = 20


@contextlib.contextmanager
def cuda_slot() -> Iterator[None]:
    """Let fake tensors be on `cuda:0` in any build of torch.

    Raises:
        HookMoved: this build keeps its guards elsewhere.
    """
    if torch.version.cuda is not None:
        yield
        return
    try:
        library = ctypes.CDLL(str(_LIBRARY))
        registry = (ctypes.c_void_p * _DEVICE_TYPES).in_dll(library, _REGISTRY)
    except (OSError, ValueError):
        raise HookMoved(f"c10::impl::device_guard_impl_registry in {_LIBRARY.name}") from None
    if not registry[_CPU]:
        raise HookMoved("c10::impl::device_guard_impl_registry: no guard of the CPU")
    before = registry[_CUDA]
    registry[_CUDA] = registry[_CPU]
    try:
        yield
    finally:
        registry[_CUDA] = before
