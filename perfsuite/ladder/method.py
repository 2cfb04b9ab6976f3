"""What a tier's row resolves to for one checkpoint and one workload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from perfsuite.checkpoints import Checkpoint, find_checkpoint
from perfsuite.ladder.build import scheduler_class, weights_of
from perfsuite.ladder.table import Tier, ordered_changes
from perfsuite.results.method import Configuration, Method
from perfsuite.workload import Workloads


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


def check_method(tier: Tier) -> None:
    """See that what a row names of its own can be had, before any weight is loaded.

    Raises:
        PerfsuiteError: they cannot; the message names the way out.
    """
    if tier.checkpoint is not None:
        find_checkpoint(tier.checkpoint).source.check()
    scheduler_class(tier)
    if tier.adapter is not None:
        tier.adapter.check()


def describe_weights(tiers: Iterable[Tier], checkpoint: Checkpoint) -> dict[str | None, Weights]:
    """The session's weights (None) and those that rows name themselves; each is read once.

    Raises:
        CheckpointError: weights or configurations cannot be read.
    """
    wanted = {None: checkpoint} | {
        tier.checkpoint: weights_of(tier, checkpoint) for tier in tiers if tier.checkpoint
    }
    return {
        name: Weights(each.name, each.source.identity(), each.source.configuration())
        for name, each in wanted.items()
    }


def resolve_method(
    tier: Tier, weights: Mapping[str | None, Weights], workloads: Workloads
) -> Method:
    """Everything that a tier's numbers depend on beside the machine.

    Args:
        tier: the row.
        weights: from `describe_weights`.
        workloads: what is asked of every tier.
    """
    own = weights[tier.checkpoint]
    return Method(
        checkpoint=own.name,
        identity=own.identity,
        configuration=own.configuration,
        changes=tuple(each.name for each in ordered_changes(tier)),
        workload=tier.workload(workloads.latency).digest,
        scheduler=tier.scheduler,
        adapter=tier.adapter.identity() if tier.adapter else None,
    )
