"""An accelerator emulated on the CPU: a PrivateUse1 device with the interface of a real one.

Tensors are wrapper subclasses around CPU tensors, so every operator runs. Strict as on a real
device: tensors of two devices in one operator are an error. Told as by a real one: events, a peak
of reserved memory, how often the device was waited for. Not there: device graphs, compilation.

Registering the device cannot be undone, so this is for a process of its own.
"""

from __future__ import annotations

import time
import weakref
from collections import Counter
from typing import Any, ClassVar

import torch
from torch.utils import backend_registration
from torch.utils._pytree import tree_leaves, tree_map

NAME = "emu"
# An operator that moves data may have tensors of two devices; indices may lie on the CPU.
_MOVES = frozenset({"aten::_to_copy", "aten::copy_"})
_TAKES_CPU_INDICES = frozenset({"aten::index.Tensor", "aten::index", "aten::index_put_"})
_TO_PYTHON = frozenset({"aten::_local_scalar_dense", "aten::equal", "aten::is_nonzero"})


class Memory:
    """The device's allocator: bytes of the storages that tensors hold."""

    held: ClassVar[Counter[int]] = Counter()
    sizes: ClassVar[dict[int, int]] = {}
    now: ClassVar[int] = 0
    peak: ClassVar[int] = 0

    @classmethod
    def take(cls, tensor: EmulatedTensor) -> None:
        """Count a tensor's storage, once for all tensors that share it."""
        storage = tensor.raw.untyped_storage()
        key = storage.data_ptr()
        if not cls.held[key]:
            cls.sizes[key] = storage.nbytes()
            cls.now += cls.sizes[key]
            cls.peak = max(cls.peak, cls.now)
        cls.held[key] += 1
        weakref.finalize(tensor, cls.give_back, key)

    @classmethod
    def give_back(cls, key: int) -> None:
        """A tensor is gone."""
        cls.held[key] -= 1
        if not cls.held[key]:
            del cls.held[key]
            cls.now -= cls.sizes.pop(key)


class EmulatedTensor(torch.Tensor):
    """A tensor of the device; `raw` holds its numbers."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> EmulatedTensor:
        made: EmulatedTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=torch.device(NAME, 0),
        )
        return made

    def __init__(self, raw: torch.Tensor) -> None:
        self.raw = raw
        Memory.take(self)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"EmulatedTensor({self.raw})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


def _unwrap(value: Any) -> Any:
    return value.raw if isinstance(value, EmulatedTensor) else value


def _wrap(value: Any) -> Any:
    plain = isinstance(value, torch.Tensor) and not isinstance(value, EmulatedTensor)
    return EmulatedTensor(value) if plain else value


def _is_here(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _on_cpu(value: Any) -> Any:
    return torch.device("cpu") if isinstance(value, torch.device) and _is_here(value) else value


def _check_devices(name: str, args: Any, kwargs: Any) -> None:
    """Raise what a real device raises where tensors of two devices meet."""
    if name in _MOVES:
        return
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    strangers = [each for each in tensors if not isinstance(each, EmulatedTensor) and each.dim()]
    if name in _TAKES_CPU_INDICES and tensors and isinstance(tensors[0], EmulatedTensor):
        strangers = [each for each in strangers if each.dtype not in (torch.int64, torch.bool)]
    if strangers:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found {NAME}:0 and "
            f"{strangers[0].device} in {name}"
        )


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    name = func._schema.name
    _check_devices(name, args, kwargs)
    plain_args = tree_map(_unwrap, args)
    plain_kwargs = {key: _on_cpu(_unwrap(value)) for key, value in kwargs.items()}
    if name == "aten::_to_copy":
        raw = func(*plain_args, **plain_kwargs)
        target = kwargs.get("device")
        return EmulatedTensor(raw) if target is None or _is_here(target) else raw
    if name == "aten::copy_":
        plain_args[0].copy_(plain_args[1])
        return args[0]
    if name in _TO_PYTHON:
        return func(*plain_args, **plain_kwargs)
    out = func(*plain_args, **tree_map(_unwrap, plain_kwargs))
    first = args[0] if args else None
    if func._schema.is_mutable and isinstance(first, EmulatedTensor) and out is first.raw:
        return first
    return tree_map(_wrap, out)


class Event:
    """A device event: work is done when its call returns, so it is the wall clock's."""

    def __init__(self, device: str | None = None, *, enable_timing: bool = False) -> None:
        assert device == NAME
        assert enable_timing
        self.at_s: float | None = None

    def record(self) -> None:
        """Now."""
        self.at_s = time.perf_counter()

    def synchronize(self) -> None:
        """Wait for it: a synchronisation as any other."""
        Calls.counted["synchronize"] += 1

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds to another event."""
        assert self.at_s is not None
        assert end.at_s is not None
        return (end.at_s - self.at_s) * 1000


class Calls:
    """How often the device's interface was called."""

    counted: ClassVar[Counter[str]] = Counter()


def _synchronize() -> None:
    Calls.counted["synchronize"] += 1


def _reset_peak() -> None:
    Memory.peak = Memory.now


def _no_graph() -> Any:
    raise RuntimeError(f"graphs are not supported on {NAME}")


def install() -> None:
    """Register the device, and its part of `torch.accelerator`."""
    backend_registration._setup_privateuseone_for_python_backend(NAME)
    library: Any = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    _KEPT.append(library)

    def empty(size: Any, dtype: Any = None, memory_format: Any = None, **_: Any) -> Any:
        return EmulatedTensor(torch.empty(size, dtype=dtype, memory_format=memory_format))

    def empty_strided(size: Any, stride: Any, dtype: Any = None, **_: Any) -> Any:
        return EmulatedTensor(torch.empty_strided(size, stride, dtype=dtype))

    def copy_from(source: Any, target: Any, non_blocking: bool = False) -> Any:
        _unwrap(target).copy_(_unwrap(source))
        return target

    library.impl("empty.memory_format", empty, "PrivateUse1")
    library.impl("empty_strided", empty_strided, "PrivateUse1")
    library.impl("_copy_from", copy_from, "PrivateUse1")
    torch.Event = Event  # type: ignore[assignment, misc]
    accelerator: Any = torch.accelerator
    accelerator.synchronize = _synchronize
    accelerator.empty_cache = lambda: None
    accelerator.reset_peak_memory_stats = _reset_peak
    accelerator.memory_reserved = lambda: Memory.now
    accelerator.max_memory_reserved = lambda: Memory.peak
    accelerator.get_memory_info = lambda: (64 << 30, 80 << 30)
    accelerator.Graph = _no_graph


_KEPT: list[Any] = []
"""The library: its operators go with it."""
