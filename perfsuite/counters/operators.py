"""Counting operators, by module, with a dispatch mode.

A dispatch mode sees what torch would run, whatever computes it: tensors may be real, fake
(`FakeTensorMode`) or on the meta device. It sees nothing of what happens inside compiled code, so
compiled modules run eagerly meanwhile: what is counted is what they ask for, before compilation.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from math import prod
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from perfsuite.counters.primitives import NoPrimitives, Primitives
from perfsuite.results.structure import OUTSIDE, SDPA, OperatorCounts

Watcher = Callable[[str, tuple[Any, ...], dict[str, Any], Any], None]
"""Told of every operator: its name ('aten.mm'), arguments, and what it returned."""
Returned = TypeVar("Returned")

_SYNCING = {
    "aten._local_scalar_dense": "Tensor.item",
    "aten.nonzero": "nonzero",
    "aten.masked_select": "masked_select",
    "aten.equal": "torch.equal",
    "aten._unique2": "unique",
    "aten.unique_dim": "unique",
    "aten.unique_consecutive": "unique",
}
"""Operators whose result the host has to wait for, by what people call."""
_READING = {
    torch.Tensor.cpu: "Tensor.cpu",
    torch.Tensor.numpy: "Tensor.numpy",
    torch.Tensor.tolist: "Tensor.tolist",
}
"""Methods that bring numbers to the host and that are no operator where they are there already."""
_NOT_SITES = ("torch", "perfsuite", "contextlib")
_SEEDED = torch.Tag.nondeterministic_seeded


class OperatorCounter:
    """Counts operators while it is entered, by the module that is at work.

    Args:
        roots: modules by the names that begin their layers' paths, such as `unet`.
        watchers: are told of every operator.
        device: type of the device that the pipeline is on; on an accelerator, reading a tensor that
            lies in the host's memory waits for nothing and is not counted as a synchronisation.
        primitives: tells what a CPU computes with; None leaves `implementations` empty.
    """

    def __init__(
        self,
        roots: Mapping[str, nn.Module],
        watchers: tuple[Watcher, ...] = (),
        device: str = "cpu",
        primitives: Primitives | None = None,
    ) -> None:
        self._names = {
            id(module): f"{root}.{name}" if name else root
            for root, top in roots.items()
            for name, module in top.named_modules()
        }
        self._watchers = watchers
        self._device = device
        self._primitives = primitives or NoPrimitives()
        self._path: list[str] = []
        self._reading = 0
        self._undo = contextlib.ExitStack()
        self._forget()

    def __enter__(self) -> OperatorCounter:
        self._undo.enter_context(torch.compiler.set_stance("force_eager"))
        # torch warns of global hooks beside torch.compile, whose wrapper they would see as well.
        self._undo.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "Using `torch.compile", UserWarning)
        self._undo.callback(hooks.register_module_forward_pre_hook(self._begin).remove)
        ended = hooks.register_module_forward_hook(self._end, always_call=True)
        self._undo.callback(ended.remove)
        self._undo.enter_context(self._primitives)
        self._undo.enter_context(_Reads(self))
        self._undo.enter_context(_Operators(self))
        return self

    def __exit__(self, *error: object) -> None:
        self._undo.close()

    def watch(self, watcher: Watcher) -> None:
        """Tell one more of every operator."""
        self._watchers = (*self._watchers, watcher)

    def take(self) -> OperatorCounts:
        """What was counted since the last call, or since the beginning."""
        counts = OperatorCounts(
            _plain(self._calls),
            dict(self._flops),
            _plain(self._syncs),
            _plain(self._draws),
            _plain(self._products),
            _plain(self._implementations),
        )
        self._forget()
        return counts

    @contextlib.contextmanager
    def inside(self, path: str) -> Iterator[None]:
        """Count what is called meanwhile under a path of its own, such as `scheduler`."""
        self._path.append(path)
        try:
            yield
        finally:
            self._path.pop()

    def read(self, how: str, tensor: object) -> None:
        """Note that the host reads a tensor's numbers."""
        if self._waits_for(tensor):
            self._note_sync(how)

    def called(
        self,
        operator: torch._ops.OpOverload,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        out: Any,
    ) -> None:
        """Note one call of an operator."""
        namespace, _, short = operator._schema.name.partition("::")
        if namespace == "prim":
            return  # bookkeeping of fake tensors, different in every build of torch
        name, path = f"{namespace}.{short}", self.at
        self._calls[path][name] += 1
        flops = flops_of(operator, args, kwargs, out)
        if flops:
            self._flops[path] += flops
            self._products[path][_dtype_of(out)] += 1
            self._implementations[path].update(self._primitives.since(operator, args))
        if _SEEDED in operator.tags and SDPA not in name:
            self._draws[path][name] += 1
        how = _SYNCING.get(name)
        if how is not None and self._waits_for(args[0]):
            self._note_sync(how)
        elif name in ("aten._to_copy", "aten.copy_") and self._comes_to_host(args, out):
            self._note_sync("Tensor.to")
        for watcher in self._watchers:
            watcher(name, args, kwargs, out)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """The copy that a read makes is no read of its own."""
        self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1

    @property
    def at(self) -> str:
        """Path of the module that is at work."""
        return self._path[-1] if self._path else OUTSIDE

    def _forget(self) -> None:
        self._calls: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._flops: Counter[str] = Counter()
        self._syncs: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._draws: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._products: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._implementations: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def _begin(self, module: nn.Module, _: Any) -> None:
        self._path.append(self._names.get(id(module), self.at))

    def _end(self, module: nn.Module, *_: Any) -> None:
        self._path.pop()

    def _note_sync(self, how: str) -> None:
        if not self._reading:
            self._syncs[self.at][f"{how} in {_site()}"] += 1

    def _waits_for(self, tensor: object) -> bool:
        if not isinstance(tensor, torch.Tensor):
            return False
        return self._device == "cpu" or tensor.device.type != "cpu"

    def _comes_to_host(self, args: tuple[Any, ...], out: Any) -> bool:
        if self._device == "cpu" or not isinstance(out, torch.Tensor):
            return False
        source = args[1] if len(args) > 1 and isinstance(args[1], torch.Tensor) else args[0]
        return out.device.type == "cpu" and source.device.type != "cpu"


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells a counter of every operator."""

    def __init__(self, counter: OperatorCounter) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._counter = counter

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(func, torch._ops.OpOverload):
            self._counter.called(func, args, kwargs or {}, out)
        return out


class _Reads(TorchFunctionMode):
    """Tells a counter of reads that are no operators."""

    def __init__(self, counter: OperatorCounter) -> None:
        super().__init__()
        self._counter = counter

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        how = _READING.get(func) if callable(func) else None
        if how is None:
            return func(*args, **(kwargs or {}))
        self._counter.read(how, args[0])
        with self._counter.reading():
            return func(*args, **(kwargs or {}))


def flops_of(
    operator: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> int:
    """Floating-point operations of one call; 0 of operators that torch has no formula for.

    The formulas are those of `torch.utils.flop_counter`; the two that it lacks, of SDPA on a CPU
    and of the int8 product, follow from its own.
    """
    packet = operator.overloadpacket
    known = flop_registry.get(packet)
    if known is not None:
        return int(known(*args, **kwargs, out_val=out))
    if packet is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
        shapes = (each.shape for each in args[:3])
        return int(sdpa_flop_count(*shapes))  # type: ignore[no-untyped-call]
    if packet is torch.ops.aten._int_mm:
        return int(2 * prod(args[0].shape) * args[1].shape[1])
    return 0


def _dtype_of(out: Any) -> str:
    """Dtype of the first tensor that an operator returned."""
    first = out[0] if isinstance(out, (tuple, list)) else out
    return str(first.dtype).removeprefix("torch.")


def _plain(counted: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {path: dict(names) for path, names in counted.items()}


def _site() -> str:
    """Module and function of the code that made a call, torch's and perfsuite's left out.

    No line number: lines move in every release.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] not in _NOT_SITES:
            return f"{name}.{frame.f_code.co_name}"
        frame = frame.f_back
    return OUTSIDE
