"""What torch.compile did: graphs and their kernels, breaks, recompiles, inductor's counters.

torch keeps most of it for its own logs. The one private hook is `CompiledFxGraph.post_compile`,
through which every graph of inductor goes, compiled anew or read from its cache, with the code that
was generated for it.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import torch
from torch._guards import CompileContext

from perfsuite.results.counters import Compilation, CompiledGraph, GraphBreak, Recompile

_GENERATED = ("async_compile",)
_LIBRARY = ("extern_kernels", "torch", "aten", "inductor_ops", "quantized_decomposed")
_ENTRIES = re.compile(r"call|partition_\d+")
_NOT_COUNTED = ("fxgraph_cache", "async_compile_cache", "triton_bundler", "aot_autograd_cache")


@dataclass
class CompileLog:
    """Listens to torch.compile while a tier is built and used.

    Attributes:
        graphs: what inductor made, with the compile id of each.
    """

    graphs: list[tuple[str, str]] = field(default_factory=list)
    _skipped: list[str] = field(default_factory=list)
    _since_us: int = 0
    _counters: Counter[str] = field(default_factory=Counter)
    _breaks: int = 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[CompileLog]:
        """Listen until the end of the block."""
        from torch._inductor.output_code import CompiledFxGraph

        self._since_us = int(time.time() * 1e6)
        self._counters = Counter(torch._dynamo.utils.counters["inductor"])
        self._breaks = len(torch._dynamo.utils.graph_break_reasons)
        original = CompiledFxGraph.post_compile

        def post_compile(graph: Any, *args: Any, **kwargs: Any) -> Any:
            self._note(graph)
            return original(graph, *args, **kwargs)

        CompiledFxGraph.post_compile = post_compile  # type: ignore[method-assign, assignment]
        try:
            yield self
        finally:
            CompiledFxGraph.post_compile = original  # type: ignore[method-assign]

    def read(self, root_of: Callable[[str, str], str | None]) -> Compilation:
        """All that happened so far.

        Args:
            root_of: component that a function belongs to, by file and name; None if to none.
        """
        metrics = self._metrics()
        roots = {
            each.compile_id: root_of(each.co_filename or "", each.co_name or "")
            or f"{PurePath(each.co_filename or '').stem}.{each.co_name}"
            for each in metrics
        }
        counters = Counter(torch._dynamo.utils.counters["inductor"]) - self._counters
        return Compilation(
            tuple(graph_of(roots.get(each, each), code) for each, code in self.graphs),
            tuple(_break(each) for each in torch._dynamo.utils.graph_break_reasons[self._breaks :]),
            tuple(
                Recompile(roots[each.compile_id], _first_line(each.recompile_reason))
                for each in metrics
                if each.recompile_reason
            ),
            {k: n for k, n in sorted(counters.items()) if not k.startswith(_NOT_COUNTED)},
            tuple(self._skipped),
        )

    def _metrics(self) -> list[Any]:
        known = torch._dynamo.utils.get_compilation_metrics()
        return [each for each in known if (each.start_time_us or 0) >= self._since_us]

    def _note(self, graph: Any) -> None:
        identity = CompileContext.current_compile_id()
        self.graphs.append((str(identity), graph.source_code))
        if graph.disabled_cudagraphs_reason:
            self._skipped.append(_first_line(graph.disabled_cudagraphs_reason))


def graph_of(root: str, code: str) -> CompiledGraph:
    """Kernels that generated code launches, read from its `call`.

    Args:
        root: whose code it is.
        code: Python that inductor has written.
    """
    tree = ast.parse(code)
    generated = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and _dotted(node.value).startswith(_GENERATED)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    fused: Counter[str] = Counter()
    extern: Counter[str] = Counter()
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or not _ENTRIES.fullmatch(function.name):
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.Call):
                continue
            name = _dotted(node)
            first = name.partition(".")[0]
            if first in generated:
                fused[re.sub(r"_\d+$", "", first)] += 1
            elif first in _LIBRARY and "." in name and not name.startswith("torch._C"):
                extern[name.removeprefix("torch.ops.")] += 1
    return CompiledGraph(
        root, dict(fused), dict(extern), hashlib.sha256(code.encode()).hexdigest()[:12]
    )


def _dotted(node: ast.AST) -> str:
    """Dotted name of what a call calls: `extern_kernels.mm`."""
    if isinstance(node, ast.Call):
        return _dotted(node.func)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _break(reason: Any) -> GraphBreak:
    frame = reason.user_stack[-1] if reason.user_stack else None
    place = f"{PurePath(frame.filename).name}:{frame.lineno} in {frame.name}" if frame else "?"
    return GraphBreak(_first_line(reason.reason), place)


def _first_line(text: str) -> str:
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[0] if lines else ""
