"""Level 1: the operators of one step of a tier's pipeline, and the memory that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perfsuite.checkpoints import Checkpoint
from perfsuite.counters.operators import OperatorCounter
from perfsuite.device import Device
from perfsuite.deviceless.memory import LiveBytes, plan, weights_of
from perfsuite.deviceless.patches.int8_product import plain_int8_product
from perfsuite.deviceless.weightless import built_without_weights, make_one_step
from perfsuite.errors import HookMoved
from perfsuite.ladder import BuiltTier, Tier, build_tier
from perfsuite.libraries import quietly
from perfsuite.results.deviceless import DEPTH, TierStructure
from perfsuite.workload import Workloads

if TYPE_CHECKING:
    from torch import nn


def count_tier(
    tier: Tier, checkpoint: Checkpoint, workloads: Workloads | None = None
) -> TierStructure:
    """Operators, FLOPs and memory of a whole pipeline call with one denoising step.

    Modules run eagerly: what is counted is what a tier asks torch for, before it is compiled.

    Args:
        tier: the tier.
        checkpoint: whose architecture it has.
        workloads: what it is asked to do; None for the checkpoint's own.

    Raises:
        HookMoved: a patch does not fit this torch.
        CheckpointError: the checkpoint cannot be had without weights.
    """
    with plain_int8_product(), built_without_weights(tier, checkpoint, workloads) as built:
        return _counted(built, tier)


def count_tier_on(
    device: Device, tier: Tier, checkpoint: Checkpoint, workloads: Workloads | None = None
) -> TierStructure:
    """The same on a device that is there, with real weights; memory is that of operators' results.

    Args:
        device: where to run.
        tier: the tier.
        checkpoint: that it has.
        workloads: what it is asked to do; None for the checkpoint's own.

    Raises:
        PerfsuiteError: the tier cannot be built here.
    """
    built = build_tier(tier, checkpoint, device, workloads=workloads or checkpoint.workloads())
    with built, torch.no_grad(), quietly():
        return _counted(built, tier)


def _counted(built: BuiltTier, tier: Tier) -> TierStructure:
    roots = parts_of(built)
    held = [weight for module in roots.values() for weight in weights_of(module)]
    kind = built.device.name.partition(":")[0]
    counter = OperatorCounter(roots, device=kind)
    watcher = LiveBytes(lambda: counter.at, held, kind)
    counter.watch(watcher)
    with counter:
        make_one_step(built)
    operators = counter.take().up_to(DEPTH)
    if not operators.of(built.family.denoiser_name).total_flops:
        raise HookMoved("torch.utils._python_dispatch.TorchDispatchMode (it sees no product)")
    return TierStructure(
        tier.name,
        denoiser=built.family.denoiser_name,
        operators=operators,
        memory=plan(roots, watcher.peaks),
        findings=built.findings,
    )


def parts_of(built: BuiltTier) -> dict[str, nn.Module]:
    """The pipeline's modules by name: what optimisations act on, and the text encoders."""
    family, pipeline = built.family, built.pipeline
    encoders = zip(family.text_encoder_names, family.text_encoders(pipeline), strict=True)
    return {**dict(encoders), **family.modules(pipeline)}
