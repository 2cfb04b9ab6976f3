"""torch.compile compiles, and the graph then runs eagerly on its fake tensors.

Reason: the compiled function would launch its kernels. What tuning by timing would choose is left
to inductor's own first choice, since there is nothing to time on; so are padding and CUDA graphs,
which ask a device.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from perfsuite.deviceless.patches.hooks import find, replaced

WRAPPER = "torch._TorchCompileInductorWrapper.__call__"
CODEGEN = "torch._inductor.graph.GraphLowering.codegen"
WITHOUT_DEVICE = {
    "max_autotune": False,
    "max_autotune_pointwise": False,
    "max_autotune_gemm": False,
    "triton.cudagraphs": False,
    "shape_padding": False,
    "compile_threads": 1,
    "force_disable_caches": True,
}
"""Inductor's settings that would time or launch something, or skip compiling what it has seen."""
ASSUMPTION = (
    "kernels are inductor's first choice: nothing is tuned by timing, products stay in cuBLAS and "
    "convolutions in cuDNN"
)
Kept = Callable[[Any, list[str]], None]


@contextlib.contextmanager
def compiled_aside(keep: Kept) -> Iterator[None]:
    """Compile every graph and hand it to `keep` with the code that inductor has written for it.

    Raises:
        HookMoved: this torch calls inductor elsewhere.
    """
    codegen = find(CODEGEN)
    find(WRAPPER)
    written: list[str] = []

    def keeping_code(graph: Any, *args: Any, **kwargs: Any) -> Any:
        made = codegen(graph, *args, **kwargs)
        written.append(getattr(made[0], "value", str(made[0])))
        return made

    def compile_aside(wrapper: Any, model: Any, inputs: Any, **_: Any) -> Any:
        compile_fx = find("torch._inductor.compile_fx.compile_fx")
        known = find("torch._inductor.config").get_config_copy()
        patches = {name: value for name, value in WITHOUT_DEVICE.items() if name in known}
        written.clear()
        compile_fx(model, inputs, config_patches={**wrapper.config, **patches})
        keep(model, list(written))
        return model.forward

    with replaced(WRAPPER, compile_aside), replaced(CODEGEN, keeping_code):
        yield
