"""Reading the code that inductor writes: what it launches, and on behalf of which module."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from perfsuite.results.structure import common_path

_COMMENT = re.compile(r"^\s*# Topologically Sorted Source Nodes: \[([^\]]*)\]")
_TRITON = re.compile(r"^\s+(triton_\w+)\.run\(")
_EXTERN = re.compile(r"(extern_kernels\.\w+|torch\.ops\.[\w.]+?\.\w+)(?=\()")
_NUMBER = re.compile(r"_\d+$")


@dataclass(frozen=True)
class LaunchedCode:
    """What one graph launches, by module path and name.

    Attributes:
        triton: generated kernels, without their numbers.
        extern: kernels of libraries, as the code calls them.
    """

    triton: dict[str, dict[str, int]]
    extern: dict[str, dict[str, int]]


def read_code(code: str, modules: Mapping[str, str], part: str) -> LaunchedCode:
    """Count the launches of generated Python code.

    Inductor writes above every launch the nodes of dynamo's graph that it computes.

    Args:
        code: of one graph.
        modules: by node of dynamo's graph, path of its module.
        part: path for launches of which nothing is written.
    """
    triton: dict[str, Counter[str]] = {}
    extern: dict[str, Counter[str]] = {}
    at = part
    body = code[code.rfind("def call(") :]
    for line in body.splitlines():
        comment = _COMMENT.match(line)
        if comment:
            named = (modules[name] for name in _names(comment[1]) if name in modules)
            at = common_path(named) or part
            continue
        launched = _TRITON.match(line)
        if launched:
            triton.setdefault(at, Counter())[without_number(launched[1])] += 1
        for called in _EXTERN.findall(line):
            extern.setdefault(at, Counter())[called] += 1
    return LaunchedCode(
        {path: dict(names) for path, names in triton.items()},
        {path: dict(names) for path, names in extern.items()},
    )


def without_number(kernel: str) -> str:
    """A kernel's name without the number that tells it from others of its graph."""
    return _NUMBER.sub("", kernel)


def _names(listed: str) -> Iterable[str]:
    return (name.strip() for name in listed.split(","))
