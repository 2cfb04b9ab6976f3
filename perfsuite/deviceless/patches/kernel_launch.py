"""Generated kernels are assembled and kept, never loaded.

Reason: inductor loads a kernel into the GPU as soon as it is assembled, to launch it later and to
tune its configuration by timing. The assembled code is all that is wanted here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from perfsuite.deviceless.patches.hooks import find, replaced

_HEURISTICS = "torch._inductor.runtime.triton_heuristics"
PRECOMPILE = f"{_HEURISTICS}.CachingAutotuner.precompile"
Kept = Callable[[str, Any], None]


@contextlib.contextmanager
def assembled_only(keep: Kept) -> Iterator[None]:
    """Hand every kernel to `keep` when it is assembled.

    Args:
        keep: told of each kernel's name and of inductor's object for it.

    Raises:
        HookMoved: this inductor loads kernels elsewhere.
    """
    find(f"{_HEURISTICS}.CachingAutotuner._precompile_worker")

    def precompile(autotuner: Any, *_: Any, **__: Any) -> None:
        with autotuner.lock:
            autotuner._precompile_worker()
        keep(autotuner.inductor_meta.get("kernel_name", autotuner.fn.__name__), autotuner)

    never = staticmethod(lambda *_, **__: None)
    with (
        replaced(PRECOMPILE, precompile),
        replaced(f"{_HEURISTICS}.StaticTritonCompileResult.can_statically_launch", never),
    ):
        yield
