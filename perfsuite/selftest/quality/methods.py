"""Faults of methods that change pictures on purpose, planted into the tiers that have them.

SSIM to fp32 says nothing of such pictures. A fault has to be found by what they show, or by the
method's own pictures of a healthy session, which it no longer makes.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from perfsuite.checkpoints import Adapter, Checkpoint
from perfsuite.images.generate import GeneratedImage
from perfsuite.images.references import References, references_of
from perfsuite.ladder import Tier, find_tiers, obstacle
from perfsuite.ladder.build import adapter_of
from perfsuite.pipelines import Pipeline, family_of
from perfsuite.progress import Progress
from perfsuite.selftest.quality.damage import Patch, nothing
from perfsuite.selftest.quality.fault import Stage
from perfsuite.selftest.quality.trial import Trial
from perfsuite.session.methods import MethodGate, gallery, widened
from perfsuite.session.run import Run
from perfsuite.workload import Workload

Alteration = Callable[[Tier, Checkpoint], Tier]


@dataclass(frozen=True)
class MethodFault:
    """A fault of a method.

    Attributes:
        name: short.
        imitates: what it stands for, one line.
        tier: that it is planted in.
        alter: changes the tier's row.
        patch: plants it into the built pipeline, as a context manager that restores.
    """

    name: str
    imitates: str
    tier: str
    alter: Alteration
    patch: Patch = nothing


def _as_it_is(tier: Tier, checkpoint: Checkpoint) -> Tier:
    return tier


def _one_step(tier: Tier, checkpoint: Checkpoint) -> Tier:
    return replace(tier, steps=1)


def _guided(tier: Tier, checkpoint: Checkpoint) -> Tier:
    return replace(tier, guidance_scale=checkpoint.quality.guidance_scale)


def _half_strength(tier: Tier, checkpoint: Checkpoint) -> Tier:
    adapter = adapter_of(tier, checkpoint)
    assert isinstance(adapter, Adapter)
    return replace(tier, adapter=replace(adapter, scale=adapter.scale / 2))


@contextlib.contextmanager
def stale_cache(pipeline: Pipeline) -> Iterator[None]:
    """The first steps of every image but the first use what the image before has left."""
    helper = importlib.import_module("DeepCache").DeepCacheSDHelper
    original = helper.is_skip_step

    def stays(self: Any, *place: Any, **named: Any) -> bool:
        if self.cur_timestep > 0:
            self.has_run = True
            return bool(original(self, *place, **named))
        if not getattr(self, "has_run", False):
            return bool(original(self, *place, **named))
        self.cur_timestep = 1
        try:
            return bool(original(self, *place, **named))
        finally:
            self.cur_timestep = 0

    helper.is_skip_step = stays
    try:
        yield
    finally:
        helper.is_skip_step = original


@contextlib.contextmanager
def half_loaded(pipeline: Pipeline) -> Iterator[None]:
    """The second half of the denoiser's tensors stay as they were drawn; nothing is restored."""
    weights = list(family_of(pipeline).denoiser(pipeline).parameters())
    dice = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for each in weights[len(weights) // 2 :]:
            drawn = torch.randn(each.shape, generator=dice)
            each.copy_(drawn * (each.shape[-1] ** -0.5 if each.dim() > 1 else 0.1))
    yield


METHOD_FAULTS = (
    MethodFault("LCM in one step", "a step count that is not passed on", "lcm-lora", _one_step),
    MethodFault(
        "LCM with guidance",
        "guidance of the checkpoint applied to weights that have it already",
        "lcm-lora",
        _guided,
    ),
    MethodFault(
        "adapter at half strength",
        "a scale that is divided by alpha twice, or left at another adapter's",
        "lcm-lora",
        _half_strength,
    ),
    MethodFault(
        "stale cache between images",
        "a cache that is not reset where an image begins",
        "deepcache",
        _as_it_is,
        stale_cache,
    ),
    MethodFault(
        "UNet half loaded",
        "tensors whose names do not match, left as they were drawn",
        "ssd-1b",
        _as_it_is,
        half_loaded,
    ),
)


class MethodBench:
    """Tries faults of methods against healthy pictures that it makes itself.

    Args:
        run: builds tiers.
        gate: holds pictures against the reference method's.
    """

    def __init__(self, run: Run, gate: MethodGate) -> None:
        self._run, self._gate = run, gate
        self._healthy: dict[str, References] = {}

    def try_healthy(self, name: str, progress: Progress) -> Trial:
        """A method as it is, which has to pass; its pictures are kept for its faults."""
        (tier,) = find_tiers([name])
        images, workload = self._make(tier, nothing, progress)
        self._healthy[name] = references_of(images, workload)
        verdict = self._gate.compare(tier, gallery(images, workload, self._gate.scorers), ())
        return Trial(name, "healthy method", None, pictures=verdict)

    def try_fault(self, fault: MethodFault, progress: Progress) -> Trial:
        """Plant a fault, and ask what its pictures give away."""
        (tier,) = find_tiers([fault.tier])
        if fault.tier not in self._healthy:
            self.try_healthy(fault.tier, progress)
        trial = Trial(fault.name, fault.imitates, Stage.PICTURES)
        altered = fault.alter(tier, self._run.checkpoint)
        try:
            images, workload = self._make(altered, fault.patch, progress)
        except (RuntimeError, ValueError, IndexError) as error:
            head = str(error).strip().splitlines()[0]
            return replace(trial, error=f"{type(error).__name__}: {head}")
        itself = self._healthy[fault.tier].score(images, workload)
        own = gallery(images, workload, self._gate.scorers)
        return replace(trial, pictures=self._gate.compare(tier, own, itself))

    def _make(
        self, tier: Tier, patch: Patch, progress: Progress
    ) -> tuple[tuple[GeneratedImage, ...], Workload]:
        self._gate.provide(tier, progress)
        with self._run.build(tier) as built, patch(built.pipeline):
            return self._gate.make(built, progress), widened(built.quality)


def supported(run: Run, faults: Iterable[MethodFault] = METHOD_FAULTS) -> tuple[MethodFault, ...]:
    """The faults whose tiers can be had for a run's checkpoint and device."""
    return tuple(
        fault
        for fault in faults
        if obstacle(find_tiers([fault.tier])[0], run.checkpoint, run.device) is None
    )


def try_methods(
    run: Run,
    folder: Path,
    faults: Iterable[MethodFault],
    begin: Callable[[str], None],
    progress: Progress,
) -> Iterator[Trial]:
    """Faults of methods in turn, before each method's first one the method as it is.

    Args:
        run: names checkpoint and device.
        folder: of failure pictures.
        faults: to plant.
        begin: told of each method and fault.
        progress: told of each picture.
    """
    gate = MethodGate(run.checkpoint, run.device, run.work, (), folder, run.environment, folder)
    bench, seen = MethodBench(run, gate), set[str]()
    for fault in faults:
        if fault.tier not in seen:
            seen.add(fault.tier)
            begin(fault.tier)
            yield bench.try_healthy(fault.tier, progress)
        begin(fault.name)
        yield bench.try_fault(fault, progress)
