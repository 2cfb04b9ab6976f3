"""Registers, spills and shared memory of assembled kernels, by NVIDIA's own tools in Triton."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from perfsuite.errors import HookMoved
from perfsuite.results.deviceless import KernelResources

_TOOL = "backends/nvidia/bin/cuobjdump"
_USAGE = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
_TIMEOUT_S = 60.0


def resources_of(name: str, autotuner: Any) -> KernelResources:
    """What a kernel's first configuration needs; the others are only tried when it is tuned.

    Args:
        name: of the kernel.
        autotuner: inductor's object for it, assembled.

    Raises:
        HookMoved: this inductor or Triton keeps assembled code elsewhere.
    """
    try:
        kernel = autotuner.compile_results[0].kernel
        cubin, metadata = kernel.asm["cubin"], kernel.metadata
        shared, warps = int(metadata.shared), int(metadata.num_warps)
    except (AttributeError, IndexError, KeyError) as error:
        raise HookMoved(f"CachingAutotuner.compile_results[0].kernel ({error})") from None
    registers, stack, local = _usage(cubin)
    return KernelResources(name, registers, stack + local, shared, warps)


def _usage(cubin: bytes) -> tuple[int, int, int]:
    """Registers, and bytes of stack and local memory, of each thread."""
    import triton

    tool = Path(triton.__file__).parent / _TOOL
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        try:
            done = subprocess.run(
                [str(tool), "--dump-resource-usage", file.name],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise HookMoved(f"triton/{_TOOL} ({error})") from None
    found = _USAGE.search(done.stdout)
    if found is None:
        raise HookMoved(f"triton/{_TOOL} --dump-resource-usage")
    registers, stack, _, local = map(int, found.groups())
    return registers, stack, local
