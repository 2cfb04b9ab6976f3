"""What a CPU computes convolutions and products with: torch's backend, and oneDNN's implementation.

A fall from a vectorised to a reference implementation makes a convolution 4 to 16 times slower and
changes no operator (pytorch #150514, #183815).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
import tempfile
from typing import Any, Protocol

import torch

_EXECUTED = re.compile(
    rb"^(?:onednn|dnnl)_verbose,(?:v\d,)?primitive,exec,cpu,([^,]+),([^,]+)", re.M
)
"""A line of oneDNN's verbose output: the primitive, and the name of its implementation."""
_BESIDE = (b"reorder",)
"""Primitives that serve another one and compute nothing."""
_CONVOLUTION = torch.ops.aten.convolution


class Primitives(Protocol):
    """Tells what the last operator was computed with."""

    def __enter__(self) -> Primitives:
        """Begin to listen."""

    def __exit__(self, *error: object) -> None:
        """Listen no more."""

    def since(self, operator: torch._ops.OpOverload, args: tuple[Any, ...]) -> list[str]:
        """What was at work since the last call, for an operator that has just returned."""


class NoPrimitives(Primitives):
    """Tells nothing: of accelerators, and of tensors without numbers."""

    def __enter__(self) -> NoPrimitives:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def since(self, operator: torch._ops.OpOverload, args: tuple[Any, ...]) -> list[str]:
        """Nothing."""
        return []


class CpuPrimitives(Primitives):
    """Listens to oneDNN's verbose output, and asks torch for the backend of each convolution.

    oneDNN writes to the process's standard output, which goes to a file meanwhile.
    """

    def __init__(self) -> None:
        self._undo = contextlib.ExitStack()
        self._read = 0

    def __enter__(self) -> CpuPrimitives:
        self._file = self._undo.enter_context(tempfile.TemporaryFile())
        self._undo.enter_context(_stdout_to(self._file.fileno()))
        library = torch.backends.mkldnn
        self._undo.enter_context(
            library.verbose(library.VERBOSE_ON)  # type: ignore[no-untyped-call]
        )
        self._read = 0
        return self

    def __exit__(self, *error: object) -> None:
        self._undo.close()

    def since(self, operator: torch._ops.OpOverload, args: tuple[Any, ...]) -> list[str]:
        """Implementations by oneDNN's names; of a convolution without oneDNN, torch's backend."""
        found = [f"onednn {name}" for name in self._executed()]
        if not found and operator.overloadpacket is _CONVOLUTION:
            found.append(_backend(args))
        return found

    def _executed(self) -> list[str]:
        _flush()
        said = os.pread(self._file.fileno(), 1 << 20, self._read)
        self._read += len(said)
        return implementations(said)


def implementations(verbose: bytes) -> list[str]:
    """Names of implementations ('jit:avx2') in oneDNN's verbose output, in order."""
    return [
        name.decode(errors="replace")
        for primitive, name in _EXECUTED.findall(verbose)
        if primitive not in _BESIDE
    ]


def _backend(args: tuple[Any, ...]) -> str:
    """Torch's backend of a convolution, by its arguments: 'Mkldnn', 'Slow2d'."""
    given = dict(zip(_CONVOLUTION_ARGUMENTS, args, strict=False))
    weight, bias = given["weight"], given["bias"]
    sizes = None if bias is None else list(bias.shape)
    backend = torch._C._select_conv_backend(
        given["input"],
        weight,
        bias,
        given["stride"],
        given["padding"],
        given["dilation"],
        given["transposed"],
        given["output_padding"],
        given["groups"],
        sizes,
    )
    return str(backend).rpartition(".")[2]


_CONVOLUTION_ARGUMENTS = tuple(each.name for each in _CONVOLUTION.default._schema.arguments)


@contextlib.contextmanager
def _stdout_to(descriptor: int) -> Any:
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(descriptor, 1)
    try:
        yield
    finally:
        _flush()
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _flush() -> None:
    """Empty the buffer of C's own standard output."""
    ctypes.CDLL(None).fflush(None)
