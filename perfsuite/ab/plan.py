"""Everything that can fail before the first worker is started, so that it fails there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from perfsuite.ab.block import Work
from perfsuite.ab.images import ArmImages
from perfsuite.checkpoints import checkpoint_names
from perfsuite.device import Device, usable_cores
from perfsuite.environment import describe_environment, host_name
from perfsuite.errors import SettingsError
from perfsuite.ladder import Tier, is_compiled
from perfsuite.measure import default_budget_s
from perfsuite.report.messages import say
from perfsuite.results.ab import ArmFacts, GateRecord, record_path
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.policy import PairedPolicy
from perfsuite.session.preflight import find_calibration, find_references, new_run_id
from perfsuite.session.subject import Subject, find_subject
from perfsuite.settings import Settings
from perfsuite.workers.protocol import Build
from perfsuite.workload import Workloads

_NEEDED_BYTES = 512 << 20


@dataclass(frozen=True)
class GatePlan:
    """What a gate will do.

    Attributes:
        tiers: in the ladder's order.
        work: what both arms are asked to do; the session fills in the tier.
        images: scores images.
        record: the gate's record, empty as yet.
        device: where both arms run.
        out: folder of records.
    """

    tiers: tuple[Tier, ...]
    work: Work
    images: ArmImages
    record: GateRecord
    device: Device
    out: Path


def prepare_gate(
    settings: Settings,
    control: str,
    treatment: str,
    root: Path,
    registered: Mapping[str, Path] | None = None,
) -> GatePlan:
    """Check everything that can be checked before the first worker is started.

    Args:
        settings: what was asked for; the checkpoint is named.
        control: SPEC of one arm, for the record.
        treatment: SPEC of the other.
        root: folder of the project; its git revision is recorded.
        registered: names of tiers and checkpoints that are the project's own, with the folder whose
            conftests register them in a worker, too.

    Raises:
        PerfsuiteError: something is missing or does not fit; the message names the mend.
    """
    subject = find_subject(
        settings,
        default="pocket",
        needed_bytes=_NEEDED_BYTES,
        compile_cache=Path(tempfile.gettempdir()),
        written=(record_path("any", settings.out),),
    )
    _refuse_obstacles(subject)
    device, wanted, checkpoint = subject.device, subject.tiers, subject.checkpoint
    asked, weights = _one_workload(subject.workloads), subject.weights[None]
    environment = describe_environment(device, settings.machine_label, root)
    budget_s = settings.budget_s or default_budget_s(device)
    policy = PairedPolicy(
        settings.tolerance, multiplicity=sum(_timed_verdicts(each) for each in wanted)
    )
    threads = settings.threads or (None if device.is_accelerator else 1)
    cores = _cores(device, threads)
    record = GateRecord(
        SCHEMA,
        new_run_id(),
        replace(environment, threads=threads or environment.threads),
        ArmFacts(control),
        ArmFacts(treatment),
        checkpoint.name,
        weights.identity,
        asked.latency,
        asked.quality,
        policy,
        budget_s,
        cores,
        tuple(tier.name for tier in wanted),
        host=host_name(),
    )
    request = _request(settings, asked, device, threads, registered or {}, record)
    work = _work(request, record, makes_images=checkpoint.has_pictures)
    # There may be no references: the arms can still be held against each other.
    found = (settings, environment.hardware.images_key, checkpoint, weights, asked)
    images = ArmImages(asked.quality, find_references(*found), find_calibration(*found))
    return GatePlan(wanted, work, images, record, device, settings.out)


def _work(request: Build, record: GateRecord, *, makes_images: bool) -> Work:
    return Work(
        request,
        record.cores,
        record.budget_s / record.policy.blocks,
        usable_cores=record.environment.cores,
        threads=record.environment.busy_threads,
        makes_images=makes_images,
    )


def _refuse_obstacles(subject: Subject) -> None:
    for name, why in subject.obstacles.items():
        raise SettingsError(
            f"tier '{name}' is not supported here: {say(why)}", hint="leave it out of --tiers"
        )


def _request(
    settings: Settings,
    asked: Workloads,
    device: Device,
    threads: int | None,
    registered: Mapping[str, Path],
    record: GateRecord,
) -> Build:
    """What both arms are asked to build; the tier is filled in later."""
    name = settings.checkpoint or "pocket"
    return Build(
        tier="",
        checkpoint=name if name in checkpoint_names() else str(Path(name).expanduser().resolve()),
        latency=asked.latency,
        quality=asked.quality,
        device=device.name,
        threads=threads,
        conftests=next(
            (
                str(registered[each])
                for each in (record.checkpoint, *record.wanted)
                if each in registered
            ),
            None,
        ),
    )


def _one_workload(chosen: tuple[Workloads, ...]) -> Workloads:
    if len(chosen) > 1:
        names = ", ".join(each.name for each in chosen)
        raise SettingsError(
            f"two environments are held against each other on one workload, not on {names}",
            hint="name one: --workload NAME",
        )
    return chosen[0]


def _timed_verdicts(tier: Tier) -> int:
    """Verdicts of a tier that chance can get wrong: latency, and compile time cold and warm."""
    return 3 if is_compiled(tier) else 1


def _cores(device: Device, threads: int | None) -> tuple[int, ...]:
    """The same cores for both arms of a CPU; the last ones, since interrupts like the first."""
    if device.is_accelerator or threads is None:
        return ()
    return usable_cores()[-threads:]
