"""What torch has found out about GPUs is forgotten before and after.

Reason: torch asks once whether there is Triton and what the card is capable of, and remembers. It
asked when it was imported, without a GPU, and it would take one architecture for the next.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator

from perfsuite.deviceless.patches.hooks import find

_ASKED = "torch.utils._triton.has_triton"
_PROPERTIES = "torch._inductor.runtime.hints.DeviceProperties.create"
_MODULES = ("torch.utils._triton", "torch._inductor.utils", "torch._inductor.codegen.cuda.cuda_env")


@contextlib.contextmanager
def nothing_remembered() -> Iterator[None]:
    """Let torch ask anew.

    Raises:
        HookMoved: this torch remembers elsewhere.
    """
    find(_ASKED)
    find(_PROPERTIES)
    _forget()
    try:
        yield
    finally:
        _forget()


def _forget() -> None:
    asked = [vars(importlib.import_module(name)) for name in _MODULES]
    functions = [each for module in asked for each in list(module.values())]
    for each in (*functions, find(_PROPERTIES).__func__):
        forget = getattr(each, "cache_clear", None)
        if callable(forget):
            forget()
