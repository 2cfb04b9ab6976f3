"""Building one tier's pipeline, and freeing it again."""

from __future__ import annotations

import contextlib
import gc
from dataclasses import dataclass
from types import TracebackType

import torch

from perfsuite.checkpoints import Checkpoint
from perfsuite.device import Device
from perfsuite.errors import NotAvailable
from perfsuite.ladder.builder import Builder, Change, Phase
from perfsuite.ladder.table import Tier, is_compiled, ordered_changes
from perfsuite.libraries import quietly
from perfsuite.pipelines import Pipeline, PipelineFamily, family_of
from perfsuite.results.method import Finding


@dataclass
class BuiltTier:
    """A pipeline with all changes of a tier; use it as a context manager, or call `close`.

    Attributes:
        tier: the row it was built from.
        checkpoint: where its weights are from.
        device: where it runs.
        pipeline: the pipeline; gone after `close`.
        dtype: dtype of its weights.
        findings: what building it brought to light.
        build_s: seconds that loading and changing took; compilation comes with the first image.
    """

    tier: Tier
    checkpoint: Checkpoint
    device: Device
    pipeline: Pipeline
    dtype: torch.dtype
    findings: tuple[Finding, ...]
    build_s: float
    _undo: contextlib.ExitStack

    @property
    def family(self) -> PipelineFamily:
        """The family of the pipeline."""
        return family_of(self.pipeline)

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
    tier: Tier, checkpoint: Checkpoint, device: Device, *, exact_only: bool = False
) -> BuiltTier:
    """Load a checkpoint and make a tier's changes, in the ladder's order.

    Args:
        tier: the tier to build.
        checkpoint: where the weights come from.
        device: where the pipeline will run.
        exact_only: leave out what changes precision, so that only rounding may differ from fp32.
    """
    builder = Builder(torch_device=device.name, is_accelerator=device.is_accelerator)
    try:
        build_s, _ = device.timed(
            lambda: _make(builder, checkpoint, ordered_changes(tier, exact_only=exact_only))
        )
    except BaseException:
        builder._undo.close()
        raise
    return BuiltTier(
        tier,
        checkpoint,
        device,
        builder.pipeline,
        builder.dtype,
        tuple(builder.findings),
        build_s,
        builder._undo,
    )


def _make(builder: Builder, checkpoint: Checkpoint, ordered: tuple[Change, ...]) -> None:
    for each in ordered:
        if each.phase is Phase.LOAD:
            each.apply(builder)
    pipeline = checkpoint.source.load(builder.dtype, builder.torch_device)
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
