"""What torch asks the driver about the GPU is answered from a table.

Reason: inductor chooses block sizes, templates and precision by the card's properties, guards
generated code with its index and stream, and asks whether there is a GPU at all. Nothing of it
needs a GPU, but all of it asks the driver.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from perfsuite.deviceless.cards import Card
from perfsuite.deviceless.patches.hooks import find, replaced

_INTERFACE = "torch._dynamo.device_interface.CudaInterface"
_WORKERS = "torch._dynamo.device_interface.caching_worker_device_properties"
_CURRENT = "torch._dynamo.device_interface.caching_worker_current_devices"
_STREAM = "_cuda_getCurrentRawStream"


class _NoGuard:
    """A device guard that guards nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> _NoGuard:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def gpu_answers(card: Card) -> Iterator[None]:
    """Answer as if `card` were the machine's only GPU.

    Raises:
        HookMoved: this torch asks elsewhere.
    """
    answers = _answers(card)
    with contextlib.ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(replaced(f"torch.cuda.{name}", answer))
        for name in _SHARED:
            answer = answers[name if name in answers else f"_{name}"]
            stack.enter_context(replaced(f"{_INTERFACE}.{name}", staticmethod(answer)))
        stack.enter_context(replaced(f"{_INTERFACE}.device", _NoGuard))
        stack.enter_context(
            replaced(f"{_INTERFACE}.get_raw_stream", staticmethod(lambda index=0: 0))
        )
        # Dynamo's bookkeeping of streams would ask the driver.
        stack.enter_context(replaced("torch.accelerator.is_available", lambda: False))
        # Fake tensors go without a device only where torch.cuda.is_available() says that none is.
        stack.enter_context(
            replaced(
                "torch._subclasses.fake_tensor.FakeTensorMode.avoid_device_init",
                property(lambda _: True),
            )
        )
        stack.enter_context(_entry(find(_WORKERS), "cuda", [card]))
        stack.enter_context(_entry(find(_CURRENT), "cuda", 0))
        if not hasattr(torch._C, _STREAM):  # a build without CUDA; generated code imports it
            setattr(torch._C, _STREAM, lambda index=0: 0)
            stack.callback(delattr, torch._C, _STREAM)
        yield


_SHARED = (
    "current_device",
    "set_device",
    "device_count",
    "synchronize",
    "get_device_properties",
    "exchange_device",
    "maybe_exchange_device",
    "memory_allocated",
    "is_bf16_supported",
)
"""Asked of dynamo's interface as well as of torch.cuda."""


def _answers(card: Card) -> dict[str, Any]:
    return {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "get_device_properties": lambda device=None: card,
        "get_device_capability": lambda device=None: card.capability,
        "get_device_name": lambda device=None: card.name,
        "is_bf16_supported": lambda including_emulation=True: True,
        "is_tf32_supported": lambda: True,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "synchronize": lambda device=None: None,
        "_exchange_device": lambda device: 0,
        "_maybe_exchange_device": lambda device: 0,
        "memory_allocated": lambda device=None: 0,
        "mem_get_info": lambda device=None: (card.total_memory, card.total_memory),
        "device": _NoGuard,
        "_DeviceGuard": _NoGuard,
        "is_current_stream_capturing": lambda: False,
        "get_rng_state": lambda device="cuda": torch.ByteTensor(),
        "set_rng_state": lambda state, device="cuda": None,
    }


@contextlib.contextmanager
def _entry(table: dict[str, Any], key: str, value: Any) -> Iterator[None]:
    before = dict(table)
    table[key] = value
    try:
        yield
    finally:
        table.clear()
        table.update(before)
