"""Counting what a tier asks of torch: passes of their own, so that no sample is touched."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import CodeType
from typing import Any

import torch

from perfsuite.counters.operators import OperatorCounter
from perfsuite.counters.primitives import CpuPrimitives, NoPrimitives
from perfsuite.counters.weights import WhyNot, layer_census, weight_bytes
from perfsuite.images.generate import run
from perfsuite.ladder import BuiltTier, changes
from perfsuite.ladder.table import ordered_changes
from perfsuite.pipelines.stages import Stage, listening
from perfsuite.results.counters import TierCounters
from perfsuite.results.structure import OperatorCounts, merged

STEPS = 3
"""Denoising steps of the image that is counted: a first one, a last one, and one between."""


def count_tier(built: BuiltTier) -> TierCounters:
    """Make one image with a built tier and count what it asks for.

    A compiled tier has to have made an image before; what torch.compile did for that is part of
    the counts, and the image that is counted runs eagerly.
    """
    start = time.perf_counter()
    family, pipeline = built.family, built.pipeline
    components = family.components(pipeline)
    stretches = _count_image(built, components)
    modules = family.modules(pipeline)
    log = built.compile_log
    made = [each.name for each in ordered_changes(built.tier)]
    return TierCounters(
        steps=len(stretches) - 1,
        image=merged(stretches),
        step=by_component(stretches[-2]),
        weights=weight_bytes(components),
        layers=layer_census(modules, _filter(made)),
        compilation=None if log is None else log.read(root_finder(components)),
        fused_attention=changes.fused_attention.name in made,
        dtype=str(built.dtype).removeprefix("torch."),
        seconds=time.perf_counter() - start,
    )


def by_component(counts: OperatorCounts) -> OperatorCounts:
    """The same counts under the names of components instead of those of layers."""
    paths = {path.partition(".")[0] for path in counts.calls}
    return merged(_flat(counts.of(path), path) for path in sorted(paths))


def root_finder(components: dict[str, Any]) -> Callable[[str, str], str | None]:
    """Says which component a compiled function belongs to, by its file and name.

    A decorator that several components share belongs to none of them.
    """
    known: dict[tuple[str, str], set[str]] = {}
    for root, module in components.items():
        for code in _methods(type(module)):
            known.setdefault((code.co_filename, code.co_name), set()).add(root)
    only = {place: next(iter(roots)) for place, roots in known.items() if len(roots) == 1}
    return lambda file, name: only.get((file, name))


def _count_image(built: BuiltTier, components: dict[str, Any]) -> list[OperatorCounts]:
    """Counts of each step, and of what comes after the last one."""
    workload = replace(built.latency, steps=min(STEPS, max(2, built.latency.steps)))
    shot = next(workload.shots())
    on_cpu = built.device.name == "cpu"
    counter = OperatorCounter(
        components,
        device=built.device.name,
        primitives=CpuPrimitives() if on_cpu else NoPrimitives(),
    )
    stretches: list[OperatorCounts] = []

    def around(stage: Stage) -> contextlib.AbstractContextManager[object]:
        own = stage is Stage.SCHEDULER
        return counter.inside(stage.value) if own else contextlib.nullcontext()

    calls = built.family.stage_calls(built.pipeline)
    with listening(calls, around), counter:
        run(built.pipeline, workload, shot, on_step=lambda step: stretches.append(counter.take()))
        stretches.append(counter.take())
    return stretches


def _flat(counts: OperatorCounts, root: str) -> OperatorCounts:
    def sums(calls: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        return {root: dict(_add(calls.values()))} if calls else {}

    return OperatorCounts(
        sums(counts.calls),
        {root: counts.total_flops} if counts.total_flops else {},
        sums(counts.syncs),
        sums(counts.draws),
        sums(counts.products),
        sums(counts.implementations),
    )


def _add(names: Iterable[dict[str, int]]) -> dict[str, int]:
    added: dict[str, int] = {}
    for each in names:
        for name, n in each.items():
            added[name] = added.get(name, 0) + n
    return added


def _filter(made: list[str]) -> WhyNot | None:
    """The int8 filter, if it is one of a tier's changes."""
    return changes.why_not_int8 if changes.dynamic_int8.name in made else None


def _methods(kind: type) -> list[CodeType]:
    """Code of a class's methods and of the decorators around them."""
    found = []
    for each in kind.__mro__:
        for value in () if each is torch.nn.Module else tuple(vars(each).values()):
            while hasattr(value, "__code__"):
                found.append(value.__code__)
                value = getattr(value, "__wrapped__", None)
    return found
