"""Triton compiles for an architecture that is named, not for the one that it finds.

Reason: Triton's driver object opens the CUDA driver to learn the architecture. Its compiler needs
the name alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch

from perfsuite.deviceless.cards import Card
from perfsuite.deviceless.patches.hooks import find, replaced


class _Driver:
    """What Triton and inductor ask a driver of."""

    binary_ext = "cubin"

    def __init__(self, card: Card) -> None:
        make_target = find("triton.backends.compiler.GPUTarget")
        self._target = make_target("cuda", card.major * 10 + card.minor, card.warp_size)
        properties = {
            "max_shared_mem": card.shared_memory_per_block_optin,
            "multiprocessor_count": card.multi_processor_count,
            "max_num_regs": card.regs_per_multiprocessor,
            "warpSize": card.warp_size,
            "sm_clock_rate": 0,
            "mem_clock_rate": 0,
            "mem_bus_width": 0,
        }
        self.utils = SimpleNamespace(get_device_properties=lambda index: properties)

    def get_current_target(self) -> Any:
        return self._target

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cuda", 0)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, index: int = 0) -> int:
        return 0

    def get_device_interface(self) -> Any:
        return torch.cuda

    def assemble_tensormap_to_arg(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def triton_target(card: Card) -> Iterator[None]:
    """Let Triton compile for a card.

    Raises:
        HookMoved: this Triton or inductor finds its target elsewhere.
    """
    with (
        replaced("torch._inductor.runtime.triton_helpers.set_driver_to_gpu", lambda: None),
        replaced("triton.runtime.driver._active", _Driver(card)),
    ):
        yield
