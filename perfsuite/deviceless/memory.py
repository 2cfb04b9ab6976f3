"""Bytes that results of operators keep alive, added up as they come and go."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from perfsuite.checkpoints import Checkpoint
from perfsuite.ladder import Tier
from perfsuite.results.deviceless import MemoryPlan, PartMemory
from perfsuite.workload import Workloads


def memory_plan(
    tier: Tier, checkpoint: Checkpoint, workloads: Workloads | None = None
) -> MemoryPlan:
    """What a tier needs of a GPU's memory, found out with fake tensors in seconds.

    Args:
        tier: the tier.
        checkpoint: whose architecture it has.
        workloads: what it will be asked to do; None for the checkpoint's own.

    Raises:
        HookMoved: this torch is not supported.
        CheckpointError: the checkpoint cannot be had without weights.
    """
    from perfsuite.deviceless.operators import count_tier

    return count_tier(tier, checkpoint, workloads).memory


class LiveBytes:
    """Watches operators and adds up the storages of their results while those are alive.

    Args:
        where: path of the module that is at work; its first name is the part.
        held: storages that were there before, such as weights, and are not counted.
        device: type of the device whose memory it is.
    """

    def __init__(self, where: Callable[[], str], held: Iterable[torch.Tensor], device: str) -> None:
        self._where = where
        self._device = device
        self._seen = {_key(tensor) for tensor in held}
        self._alive = 0
        self.peaks: dict[str, int] = {}

    def __call__(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        """Take an operator's results into account."""
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == self._device:
                for plain in plain_tensors(tensor):
                    self._add(plain)
        part = self._where().partition(".")[0]
        self.peaks[part] = max(self.peaks.get(part, 0), self._alive)

    def _add(self, tensor: torch.Tensor) -> None:
        key, storage = _key(tensor), tensor.untyped_storage()
        if key in self._seen:
            return
        size = storage.nbytes()
        self._seen.add(key)
        self._alive += size
        weakref.finalize(storage, self._remove, key, size).atexit = False

    def _remove(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self._alive -= size


def plan(roots: Mapping[str, nn.Module], peaks: Mapping[str, int]) -> MemoryPlan:
    """Weights of each part beside the most that was alive while it was at work.

    Args:
        roots: the pipeline's modules by name.
        peaks: by part, in bytes.
    """
    return MemoryPlan(
        tuple(
            PartMemory(name, _bytes_of(weights_of(module)), peaks.get(name, 0))
            for name, module in roots.items()
        )
    )


def weights_of(module: nn.Module) -> list[torch.Tensor]:
    """Parameters and buffers, quantised ones as the tensors that they consist of."""
    return [
        part
        for tensor in (*module.parameters(), *module.buffers())
        for part in plain_tensors(tensor)
    ]


def plain_tensors(tensor: torch.Tensor) -> Iterable[torch.Tensor]:
    """The tensors that a subclass such as torchao's wraps; a tensor of torch's own is itself.

    A fake tensor wraps one too, but on the meta device: it counts as torch's own.
    """
    if isinstance(tensor, torch._subclasses.FakeTensor) or not hasattr(
        tensor, "__tensor_flatten__"
    ):
        return (tensor,)
    names, _ = tensor.__tensor_flatten__()
    return tuple(part for name in names for part in plain_tensors(getattr(tensor, name)))


def _bytes_of(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of all storages, each counted once."""
    return sum({_key(each): each.untyped_storage().nbytes() for each in tensors}.values())


def _key(tensor: torch.Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key
