"""A record of every tier, whatever this torch can be asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace

import msgspec

from perfsuite.checkpoints import Checkpoint
from perfsuite.device import Device
from perfsuite.deviceless.kernels import compile_tier
from perfsuite.deviceless.operators import count_tier, count_tier_on
from perfsuite.deviceless.patches import attention, inductor_call
from perfsuite.environment import installed_versions
from perfsuite.errors import HookMoved, PerfsuiteError, head_of
from perfsuite.ladder import Tier, is_compiled
from perfsuite.results.deviceless import SCHEMA, StructureRecord, TierStructure
from perfsuite.results.structure import merged
from perfsuite.workload import Workloads

_PACKAGES = ("torch", "diffusers", "transformers", "torchao")
Progress = Callable[[str], None]


def survey(
    tiers: Iterable[Tier],
    checkpoint: Checkpoint,
    workloads: Workloads,
    begin: Progress,
    keep: Callable[[StructureRecord], None],
    archs: tuple[str, ...] = (),
) -> StructureRecord:
    """Count every tier; one that this torch cannot be asked is `unsupported`, with what stops it.

    Args:
        tiers: to count.
        checkpoint: whose architecture they have.
        workloads: what they are asked to do.
        begin: told of every stretch of work.
        keep: given the record as far as it is, after every tier.
        archs: architectures to compile the compiled tiers for; none to leave kernels out.

    Raises:
        PerfsuiteError: the checkpoint cannot be had without weights, a tier cannot be built, or
            there is no Triton for the kernels.
    """
    assumptions = (attention.ASSUMPTION, *([inductor_call.ASSUMPTION] if archs else []))
    record = StructureRecord(
        SCHEMA,
        checkpoint.name,
        _digest(checkpoint),
        workloads.latency,
        _versions(),
        assumptions,
        (),
    )
    for tier in tiers:
        begin(tier.name)
        structure = _counted(tier, checkpoint, workloads)
        kernels = []
        for arch in archs if is_compiled(tier) else ():
            begin(f"{tier.name}, {arch}")
            kernels.append(compile_tier(tier, checkpoint, arch, workloads))
        counted = replace(structure, kernels=tuple(kernels))
        record = replace(record, tiers=(*record.tiers, counted))
        keep(record)
    return record


def survey_on(
    device: Device,
    like: StructureRecord,
    tiers: Iterable[Tier],
    checkpoint: Checkpoint,
    workloads: Workloads,
    begin: Progress,
) -> StructureRecord:
    """The operators of a record's tiers as a device that is there runs them.

    Args:
        device: where to run.
        like: the record.
        tiers: its tiers.
        checkpoint: with its weights.
        workloads: what they are asked to do.
        begin: told of every stretch of work.

    Raises:
        PerfsuiteError: a tier cannot be built here.
    """
    counted = []
    for tier in tiers:
        begin(f"{tier.name} on {device.name}")
        counted.append(count_tier_on(device, tier, checkpoint, workloads))
    return modules_only(replace(like, tiers=tuple(counted)))


def modules_only(record: StructureRecord) -> StructureRecord:
    """A record without what the pipeline's own code and the scheduler did."""
    return replace(record, tiers=tuple(map(_modules_only, record.tiers)))


def _modules_only(tier: TierStructure) -> TierStructure:
    parts = (each.part for each in tier.memory.parts)
    return replace(tier, operators=merged(tier.operators.of(part) for part in parts), kernels=())


def _counted(tier: Tier, checkpoint: Checkpoint, workloads: Workloads) -> TierStructure:
    try:
        return count_tier(tier, checkpoint, workloads)
    except HookMoved as error:
        return TierStructure(tier.name, unsupported=error.name)
    except PerfsuiteError:
        raise
    except Exception as error:  # whatever a new torch raises: it is no pass, and the rest goes on
        return TierStructure(tier.name, unsupported=head_of(error))


def _digest(checkpoint: Checkpoint) -> str:
    """Twelve hexadecimal digits that tell this architecture from others."""
    components = msgspec.json.encode(checkpoint.source.configuration().components)
    return hashlib.sha256(components).hexdigest()[:12]


def _versions() -> dict[str, str]:
    """Of the packages that operators depend on."""
    found = {name: next(iter(installed_versions(name).values()), None) for name in _PACKAGES}
    return {name: version for name, version in found.items() if version}
