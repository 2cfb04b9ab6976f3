"""What a tier's row resolves to for one checkpoint and one workload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from perfsuite.checkpoints import Checkpoint, Counterpart
from perfsuite.device import Device
from perfsuite.ladder.build import adapter_of, scheduler_class, weights_of
from perfsuite.ladder.needs import METHODS_EXTRA, is_installed
from perfsuite.ladder.table import Tier, ordered_changes
from perfsuite.results.method import Configuration, Method
from perfsuite.results.support_reasons import NeedsPackage, NoCounterpart, Obstacle
from perfsuite.workload import Workloads

WeightsKey: TypeAlias = "str | Counterpart | None"
"""What a row names as its weights; None is the session's checkpoint."""


@dataclass(frozen=True)
class Weights:
    """Weights, told from all others.

    Attributes:
        name: of their checkpoint.
        identity: digest of the weights, or a repository with its revision.
        configuration: of the checkpoint.
    """

    name: str
    identity: str
    configuration: Configuration


def obstacle(tier: Tier, checkpoint: Checkpoint, device: Device) -> Obstacle | None:
    """Why a tier is not supported here; None if it is.

    Args:
        tier: the row.
        checkpoint: of the session.
        device: where it would run.
    """
    for own, known in ((tier.checkpoint, checkpoint.variants), (tier.adapter, checkpoint.adapters)):
        if isinstance(own, Counterpart) and own.method not in known:
            return NoCounterpart(checkpoint.name, own.method)
    if tier.adapter is not None and not is_installed("peft"):
        return NeedsPackage("peft", METHODS_EXTRA)
    needs = (need for each in ordered_changes(tier) for need in each.needs)
    return next((found for need in needs if (found := need(device)) is not None), None)


def check_method(tier: Tier, checkpoint: Checkpoint) -> None:
    """See that what a row names of its own can be had, before any weight is loaded.

    Raises:
        PerfsuiteError: they cannot; the message names the way out.
    """
    if tier.checkpoint is not None:
        weights_of(tier, checkpoint).source.check()
    scheduler_class(tier)
    adapter = adapter_of(tier, checkpoint)
    if adapter is not None:
        adapter.check()


def describe_weights(tiers: Iterable[Tier], checkpoint: Checkpoint) -> dict[WeightsKey, Weights]:
    """The session's weights (None) and those that rows name themselves; each is read once.

    Raises:
        CheckpointError: weights or configurations cannot be read.
    """
    wanted: dict[WeightsKey, Checkpoint] = {None: checkpoint} | {
        tier.checkpoint: weights_of(tier, checkpoint) for tier in tiers if tier.checkpoint
    }
    return {
        name: Weights(each.name, each.source.identity(), each.source.configuration())
        for name, each in wanted.items()
    }


def resolve_method(
    tier: Tier,
    checkpoint: Checkpoint,
    weights: Mapping[WeightsKey, Weights],
    workloads: Workloads,
) -> Method:
    """Everything that a tier's numbers depend on beside the machine.

    Args:
        tier: the row.
        checkpoint: of the session.
        weights: from `describe_weights`.
        workloads: what is asked of every tier.
    """
    own, adapter = weights[tier.checkpoint], adapter_of(tier, checkpoint)
    return Method(
        checkpoint=own.name,
        identity=own.identity,
        configuration=own.configuration,
        changes=tuple(each.name for each in ordered_changes(tier)),
        workload=tier.workload(workloads.latency).digest,
        scheduler=tier.scheduler,
        adapter=adapter.identity() if adapter else None,
    )
