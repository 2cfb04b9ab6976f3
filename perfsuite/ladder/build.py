"""Building one tier's pipeline, and freeing it again."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, TypeVar

import torch

from perfsuite.checkpoints import Adapter, Checkpoint, Counterpart, find_checkpoint
from perfsuite.counters.compilation import CompileLog
from perfsuite.device import Device
from perfsuite.errors import LadderError, NotAvailable
from perfsuite.ladder.builder import Builder, Change, Phase
from perfsuite.ladder.table import Tier, is_compiled, ordered_changes
from perfsuite.libraries import quietly
from perfsuite.out_of_memory import is_out_of_memory, let_go
from perfsuite.pipelines import Pipeline, PipelineFamily, family_of
from perfsuite.results.method import Finding
from perfsuite.workload import Workload, Workloads

_Found = TypeVar("_Found")


@dataclass
class BuiltTier:
    """A pipeline with all changes of a tier; use it as a context manager, or call `close`.

    Attributes:
        tier: the row it was built from.
        checkpoint: that the session measures; the row may name weights of its own.
        workloads: what the session asks of every tier.
        device: where it runs.
        pipeline: the pipeline; gone after `close`.
        dtype: dtype of its weights.
        findings: what building it brought to light.
        build_s: seconds that loading and changing took; compilation comes with the first image.
        held_bytes: memory that the process held before it was built; None where it is not known.
        compile_log: what torch.compile does of it; None if the tier is not compiled.
    """

    tier: Tier
    checkpoint: Checkpoint
    device: Device
    pipeline: Pipeline
    dtype: torch.dtype
    findings: tuple[Finding, ...]
    build_s: float
    workloads: Workloads
    compile_log: CompileLog | None
    _undo: contextlib.ExitStack
    held_bytes: int | None = None

    @property
    def family(self) -> PipelineFamily:
        """The family of the pipeline."""
        return family_of(self.pipeline)

    @property
    def latency(self) -> Workload:
        """What is timed: the session's workload, with the steps and guidance of the tier's row."""
        return self.tier.workload(self.workloads.latency)

    @property
    def quality(self) -> Workload:
        """What images are made of, likewise."""
        return self.tier.workload(self.workloads.quality)

    def close(self) -> None:
        """Free the pipeline, forget what was compiled, and restore every setting."""
        self.pipeline = None
        self._undo.close()
        if is_compiled(self.tier):
            torch.compiler.reset()
        gc.collect()
        self.device.release_memory()

    def __enter__(self) -> BuiltTier:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def build_tier(
    tier: Tier,
    checkpoint: Checkpoint,
    device: Device,
    *,
    exact_only: bool = False,
    autotunes: bool = True,
    workloads: Workloads | None = None,
) -> BuiltTier:
    """Load a checkpoint and make a tier's changes, in the ladder's order.

    What an earlier tier has left is given back first, also by one that ran out of memory.

    Args:
        tier: the tier to build.
        checkpoint: where the weights come from, unless the tier has its own.
        device: where the pipeline will run.
        exact_only: leave out what changes precision, so that only rounding may differ from fp32.
        autotunes: whether compiling may search for the fastest kernels, which takes most of its
            time on an accelerator.
        workloads: what it will be asked to do; None for the checkpoint's own.
    """
    asked = workloads or checkpoint.workloads()
    fewest = min(asked.latency.batch_size, asked.quality.batch_size)
    builder = Builder(
        torch_device=device.name,
        is_accelerator=device.is_accelerator,
        autotunes=autotunes,
        workload=replace(asked.latency, batch_size=fewest),
    )
    gc.collect()
    device.release_memory()
    held_bytes = device.held_memory()
    log = CompileLog() if is_compiled(tier) else None
    if log is not None:
        builder.set_for_this_tier(log.listening())
    try:
        build_s, _ = device.timed(
            lambda: _make(builder, tier, checkpoint, ordered_changes(tier, exact_only=exact_only))
        )
    except BaseException as error:
        builder._undo.close()
        builder._pipeline = None
        if is_out_of_memory(error):
            let_go(error)
        raise
    return BuiltTier(
        tier,
        checkpoint,
        device,
        builder.pipeline,
        builder.dtype,
        tuple(builder.findings),
        build_s,
        asked,
        log,
        builder._undo,
        held_bytes,
    )


def weights_of(tier: Tier, checkpoint: Checkpoint) -> Checkpoint:
    """The tier's own weights where its row names some, else the session's checkpoint.

    Raises:
        LadderError: the session's checkpoint has no counterpart for the method.
    """
    own = tier.checkpoint
    if isinstance(own, Counterpart):
        own = _counterpart(checkpoint.variants, own, tier, checkpoint)
    return find_checkpoint(own) if own else checkpoint


def adapter_of(tier: Tier, checkpoint: Checkpoint) -> Adapter | None:
    """The LoRA weights that a tier fuses into its checkpoint's; None if it has none.

    Raises:
        LadderError: the session's checkpoint has no counterpart for the method.
    """
    own = tier.adapter
    if isinstance(own, Counterpart):
        return _counterpart(checkpoint.adapters, own, tier, checkpoint)
    return own


def _counterpart(
    known: Mapping[str, _Found], wanted: Counterpart, tier: Tier, checkpoint: Checkpoint
) -> _Found:
    if wanted.method not in known:
        raise LadderError(
            f"checkpoint '{checkpoint.name}' has no weights for tier '{tier.name}'",
            hint=f"leave '{tier.name}' out, or measure another checkpoint",
        )
    return known[wanted.method]


def scheduler_class(tier: Tier) -> Any:
    """Diffusers' class of the scheduler that a tier's row names; None for the checkpoint's own.

    Raises:
        LadderError: diffusers has no such scheduler.
    """
    if tier.scheduler is None:
        return None
    import diffusers

    found = getattr(diffusers, tier.scheduler, None)
    if not (isinstance(found, type) and issubclass(found, diffusers.SchedulerMixin)):
        raise LadderError(
            f"tier '{tier.name}' names the scheduler '{tier.scheduler}', "
            f"which diffusers {diffusers.__version__} does not have",
            hint="name a class of diffusers.schedulers, such as LCMScheduler",
        )
    return found


def _make(
    builder: Builder, tier: Tier, checkpoint: Checkpoint, ordered: tuple[Change, ...]
) -> None:
    for each in ordered:
        if each.phase is Phase.LOAD:
            each.apply(builder)
    pipeline = weights_of(tier, checkpoint).source.load(builder.dtype, builder.torch_device)
    scheduler = scheduler_class(tier)
    if scheduler is not None:
        pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    adapter = adapter_of(tier, checkpoint)
    if adapter is not None:
        adapter.fuse(pipeline)
    builder._pipeline = pipeline
    builder.family.prepare(pipeline)
    with quietly():
        for each in ordered:
            if each.phase is not Phase.LOAD:
                _apply(each, builder)


def _apply(change: Change, builder: Builder) -> None:
    """Make a change; that the pipeline's family cannot make it is a finding."""
    try:
        change.apply(builder)
    except NotAvailable as error:
        builder.find(change.name, str(error))
