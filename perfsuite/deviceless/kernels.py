"""Level 2: the kernels that inductor and Triton make of a compiled tier, for a GPU by name."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from perfsuite.checkpoints import Checkpoint
from perfsuite.deviceless.cards import CARDS
from perfsuite.deviceless.generated import LaunchedCode, read_code, without_number
from perfsuite.deviceless.operators import parts_of
from perfsuite.deviceless.patches import inductor_call, kernel_launch
from perfsuite.deviceless.patches.constant_folding import folding_on_cpu
from perfsuite.deviceless.patches.gpu_answers import gpu_answers
from perfsuite.deviceless.patches.inductor_call import compiled_aside
from perfsuite.deviceless.patches.kernel_launch import assembled_only
from perfsuite.deviceless.patches.remembered import nothing_remembered
from perfsuite.deviceless.patches.triton_target import triton_target
from perfsuite.deviceless.resources import resources_of
from perfsuite.deviceless.weightless import built_without_weights, make_one_step
from perfsuite.errors import HookMoved, PerfsuiteError, SettingsError, head_of
from perfsuite.ladder import Tier
from perfsuite.results.deviceless import DEPTH, ArchKernels, CompiledPart, KernelResources
from perfsuite.results.structure import by_name, merged_calls, up_to
from perfsuite.workload import Workloads


@dataclass
class Compilation:
    """What has been compiled so far.

    Attributes:
        roots: the pipeline's modules by name.
        graphs: by part: how many.
        code: by part: what it launches.
        kernels: by part: what is assembled for it.
    """

    roots: Mapping[str, nn.Module]
    graphs: dict[str, int] = field(default_factory=dict)
    code: dict[str, list[LaunchedCode]] = field(default_factory=dict)
    kernels: dict[str, list[KernelResources]] = field(default_factory=dict)
    _assembled: dict[str, KernelResources] = field(default_factory=dict)

    def keep_kernel(self, name: str, autotuner: Any) -> None:
        """Note a kernel that was assembled; its graph is told of when all of them are."""
        self._assembled[name] = resources_of(without_number(name), autotuner)

    def keep_graph(self, graph: torch.fx.GraphModule, code: list[str]) -> None:
        """Note a graph with the code that was written for it."""
        modules = module_paths(graph)
        part = self._part(modules)
        self.graphs[part] = self.graphs.get(part, 0) + 1
        paths = {name: f"{part}.{path}" if path else part for name, path in modules.items()}
        self.code.setdefault(part, []).extend(read_code(each, paths, part) for each in code)
        self.kernels.setdefault(part, []).extend(self._assembled.values())
        self._assembled = {}

    def parts(self) -> tuple[CompiledPart, ...]:
        """Everything that was noted.

        Raises:
            HookMoved: nothing was, or kernels are launched that were not assembled: a new torch
                goes another way than through the patches.
        """
        parts = tuple(self._compiled(part) for part in self.graphs)
        if not parts:
            raise HookMoved(f"{inductor_call.WRAPPER} (no graph was compiled)")
        for part in parts:
            if not part.launches:
                raise HookMoved(f"{inductor_call.CODEGEN} (no launch in the code of {part.part})")
            missing = set(by_name(part.triton)) - {each.name for each in part.resources}
            if missing:
                raise HookMoved(f"{kernel_launch.PRECOMPILE} ({min(missing)} is not assembled)")
        return parts

    def _compiled(self, part: str) -> CompiledPart:
        code = self.code[part]
        return CompiledPart(
            part,
            self.graphs[part],
            up_to(merged_calls(each.triton for each in code), DEPTH),
            up_to(merged_calls(each.extern for each in code), DEPTH),
            tuple(sorted(self.kernels[part], key=lambda each: (each.name, each.registers))),
        )

    def _part(self, modules: Mapping[str, str]) -> str:
        """The part that has most of a graph's modules."""
        firsts = [path.partition(".")[0] for path in modules.values() if path]
        children = {name: dict(root.named_children()) for name, root in self.roots.items()}
        return max(children, key=lambda name: sum(first in children[name] for first in firsts))


def compile_tier(
    tier: Tier, checkpoint: Checkpoint, arch: str, workloads: Workloads | None = None
) -> ArchKernels:
    """Compile a tier's modules as its first image would, for an architecture, without a GPU.

    Args:
        tier: a compiled tier.
        checkpoint: whose architecture it has.
        arch: one of `CARDS`.
        workloads: what it is asked to do; None for the checkpoint's own.

    Returns:
        The kernels, or the name of the hook that this torch lacks.

    Raises:
        PerfsuiteError: the checkpoint cannot be had without weights, or there is no Triton.
    """
    triton = triton_version()
    try:
        return ArchKernels(arch, triton, _compiled(tier, checkpoint, arch, workloads))
    except HookMoved as error:
        return ArchKernels(arch, triton, unsupported=error.name)
    except PerfsuiteError:
        raise
    except Exception as error:  # whatever a new torch raises: it is no pass, and the rest goes on
        return ArchKernels(arch, triton, unsupported=head_of(error))


def triton_version() -> str:
    """Version of Triton.

    Raises:
        SettingsError: there is none.
    """
    try:
        import triton
    except ImportError:
        raise SettingsError(
            f"torch {torch.__version__} comes without Triton, which makes kernels",
            hint="install a CUDA build of torch, or leave --kernels out",
        ) from None
    return str(triton.__version__)


def _compiled(
    tier: Tier, checkpoint: Checkpoint, arch: str, workloads: Workloads | None
) -> tuple[CompiledPart, ...]:
    with (
        _caches(),
        gpu_answers(CARDS[arch]),
        nothing_remembered(),
        triton_target(CARDS[arch]),
        folding_on_cpu(),
        built_without_weights(tier, checkpoint, workloads) as built,
    ):
        compilation = Compilation(parts_of(built))
        with (
            assembled_only(compilation.keep_kernel),
            compiled_aside(compilation.keep_graph),
        ):
            make_one_step(built)
        return compilation.parts()


def module_paths(graph: torch.fx.GraphModule) -> dict[str, str]:
    """By node of dynamo's graph: path of the module whose code it is, without its root."""
    paths = {}
    for node in graph.graph.nodes:
        stack = list(node.meta.get("nn_module_stack", {}).values())
        paths[node.name] = _path(str(stack[-1][0])) if stack else ""
    return paths


def _path(source: str) -> str:
    """`L['self'].__dict__['_modules']['mid']._modules['0']` and its other spellings as a path."""
    names = re.findall(r"\['([^']+)'\]|\[(\d+)\]|\.(\w+)", source.replace("_modules", ""))
    flat = [next(filter(None, each)) for each in names]
    return ".".join(name for name in flat if name not in ("self", "_orig_mod", "__dict__"))


@contextlib.contextmanager
def _caches() -> Iterator[None]:
    """Compile into a folder that is gone afterwards, so that everything is compiled."""
    with tempfile.TemporaryDirectory(prefix="perfsuite-structure-") as folder:
        names = {
            "TORCHINDUCTOR_CACHE_DIR": folder,
            "TRITON_CACHE_DIR": str(Path(folder, "triton")),
        }
        with _environment(names):
            yield


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
