"""Everything that can fail before the first weight is loaded, so that it fails there."""

from __future__ import annotations

import datetime
import os
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from perfsuite.checkpoints import Checkpoint
from perfsuite.compiler import COMPILE_CACHE, check_libraries, compile_cache
from perfsuite.environment import describe_environment, host_name
from perfsuite.errors import (
    BaselineError,
    SettingsError,
)
from perfsuite.history import keep as history
from perfsuite.images.calibration import calibration_path, load_calibration
from perfsuite.images.metrics import check_scorable
from perfsuite.images.references import References
from perfsuite.ladder import (
    Weights,
    is_compiled,
    reference_tier,
    resolve_method,
)
from perfsuite.process import measuring_process
from perfsuite.report.messages import say
from perfsuite.results.images import Calibration
from perfsuite.results.machine import Environment
from perfsuite.results.method import Method
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.policy import Policy
from perfsuite.results.session import RunRecord
from perfsuite.session.fits import without_too_large
from perfsuite.session.run import Run
from perfsuite.session.subject import Subject, find_subject
from perfsuite.settings import Settings
from perfsuite.storage import check_outputs
from perfsuite.stores.baselines import BaselineStore, Comparable, comparable
from perfsuite.stores.first_baselines import FirstBaselines
from perfsuite.stores.references import MANIFEST, load_references
from perfsuite.workload import Asked, Workloads, labelled


def prepare_run(
    settings: Settings,
    root: Path,
    *,
    scores_images: bool = True,
    uses_calibration: bool = True,
    needs_baseline: bool = False,
    command: str | None = None,
) -> Run:
    """Check everything that can be checked before the first weight is loaded.

    With several workloads, `Run.at` finds the run of each; what is returned is the first one's.

    Args:
        settings: what was asked for.
        root: folder of the project; its git revision is recorded.
        scores_images: whether references are needed.
        uses_calibration: whether thresholds of the quality gate are needed too.
        needs_baseline: whether latencies are judged, so that `--perf-missing fail` asks for a
            baseline of each tier.
        command: what was typed, for the record.

    Raises:
        PerfsuiteError: something is missing or does not fit; the message names the mend.
    """
    history.check(settings.history)
    cache = _compile_cache(settings)
    subject = find_subject(
        settings,
        compile_cache=cache,
        written=(
            settings.out / "runs" / "latest.json",
            *(path for path in (settings.report, settings.markdown) if path is not None),
        ),
    )
    subject = without_too_large(subject)
    if any(is_compiled(tier) for tier in subject.tiers):
        check_libraries()
    threads = settings.threads or (None if subject.device.is_accelerator else 1)
    with ExitStack() as process:
        process.enter_context(measuring_process(threads, cache))
        record = _empty_record(settings, subject, root)
        runs = [
            _run_of(
                work,
                subject,
                settings,
                record,
                scores_images=scores_images,
                uses_calibration=scores_images and uses_calibration,
                needs_baseline=needs_baseline,
            )
            for work in subject.workloads
        ]
        record = replace(record, baseline=_baseline_of(runs[0]), command=command)
        kept = process.pop_all()
    for run in runs:
        run.siblings, run.record, run.p_values = runs, record, runs[0].p_values
        run.process = kept
    return runs[0]


def _baseline_of(run: Run) -> str | None:
    path = run.store.find()
    return run.store.named(path) if run.baseline and path else None


def _empty_record(settings: Settings, subject: Subject, root: Path) -> RunRecord:
    chosen = subject.workloads
    return RunRecord(
        SCHEMA,
        new_run_id(),
        describe_environment(subject.device, settings.machine_label, root),
        subject.checkpoint.name,
        subject.weights[None].identity,
        chosen[0].latency,
        chosen[0].quality,
        Policy(
            tolerance=settings.tolerance, multiplicity=max(1, len(subject.supported)) * len(chosen)
        ),
        None,
        host=host_name(),
        time_limit_s=settings.time_limit_s,
    )


def _run_of(
    work: Workloads,
    subject: Subject,
    settings: Settings,
    record: RunRecord,
    *,
    scores_images: bool,
    uses_calibration: bool,
    needs_baseline: bool,
) -> Run:
    """The run of one workload, with all that its verdicts will be held against."""
    checkpoint, wanted = subject.checkpoint, subject.supported
    key = record.environment.hardware.key
    methods = {
        tier.name: resolve_method(tier, checkpoint, subject.weights, work)
        for tier in {reference_tier(), *wanted}
    }
    store = _store_of(settings, key, checkpoint, work)
    measured = {tier.name: methods[tier.name] for tier in wanted}
    known = _load_baseline(
        store,
        settings,
        record.environment,
        measured,
        needs_baseline=needs_baseline,
        asked=Asked(settings.checkpoint, work.options),
    )
    found = (settings, key, checkpoint, subject.weights[None], work)
    return Run(
        settings,
        subject.device,
        checkpoint,
        wanted,
        store,
        known.baseline,
        find_references(*found) if scores_images else None,
        record,
        calibration=find_calibration(*found) if uses_calibration else None,
        workloads=work,
        methods=methods,
        refused=known.refused,
        unknown=known.unknown,
        scores_images=scores_images,
        obstacles=subject.obstacles,
    )


def _store_of(
    settings: Settings, key: str, checkpoint: Checkpoint, work: Workloads
) -> BaselineStore:
    """Where this workload's baseline is kept; it can be written there."""
    drafts = settings.out / "baselines"
    store = BaselineStore(
        settings.baselines,
        drafts,
        key,
        checkpoint.name,
        work.latency.digest,
        work.latency_label,
    )
    check_outputs(store.path(settings.baselines if settings.update else drafts))
    FirstBaselines.under(settings.out).check()
    return store


def _load_baseline(
    store: BaselineStore,
    settings: Settings,
    environment: Environment,
    methods: Mapping[str, Method],
    *,
    needs_baseline: bool,
    asked: Asked,
) -> Comparable:
    # Read even if it is to be replaced: a file that cannot be used stops the run here, not later.
    baseline = store.load()
    if settings.update == "replace":
        return Comparable(None)
    known = comparable(baseline, environment, methods)
    refused = {name: why for name, why in known.refused.items() if name in methods}
    if settings.update == "add":
        for name, why in refused.items():
            raise BaselineError(
                f"no run can be added to tier '{name}' of {store.find()}: {say(why)}",
                hint="or measure as it was recorded",
            )
    elif needs_baseline and settings.missing == "fail":
        _require_baseline(store, settings, known, tuple(methods), asked)
    return known


def _require_baseline(
    store: BaselineStore,
    settings: Settings,
    known: Comparable,
    names: tuple[str, ...],
    asked: Asked,
) -> None:
    tiers = known.baseline.tiers if known.baseline else {}
    lacking = ",".join(name for name in names if name not in {**tiers, **known.refused})
    refused = [name for name in names if name in known.refused]
    again = f"{asked.recording()} --perf-tiers"
    if lacking:
        where = store.find() or f"{store.hardware_key} in {settings.baselines}"
        raise SettingsError(
            f"no baseline for {lacking} of {where}",
            hint=f"record one: {again} {lacking}, or pass --perf-missing record",
        )
    for name in refused:
        raise SettingsError(
            f"tier '{name}' of {store.find()}: {say(known.refused[name])}",
            hint=f"{again} {','.join(refused)}",
        )


def find_references(
    settings: Settings,
    hardware_key: str,
    checkpoint: Checkpoint,
    weights: Weights,
    work: Workloads,
) -> References | None:
    """References of a checkpoint: of any hardware, of this hardware, or recorded here before.

    Returns:
        None if there are none; a session then makes them with fp32 before anything is scored.

    Raises:
        ReferenceImageError: they are damaged, or of something else.
        SettingsError: the images are too small to be scored.
    """
    check_scorable(work.quality.height, work.quality.width)
    name = labelled(checkpoint.name, work.quality_label)
    asked = Asked(settings.checkpoint, work.options)
    for folder in (
        settings.baselines / "references" / name,
        settings.baselines / hardware_key / "references" / name,
        settings.out / "references" / hardware_key / name,
    ):
        if (folder / MANIFEST).is_file():
            return load_references(
                folder,
                checkpoint=checkpoint.name,
                identity=weights.identity,
                workload=work.quality,
                configuration=weights.configuration,
                asked=asked,
            )
    return None


def find_calibration(
    settings: Settings,
    hardware_key: str,
    checkpoint: Checkpoint,
    weights: Weights,
    work: Workloads,
) -> Calibration | None:
    """Thresholds of the quality gate for a checkpoint; None if it was never calibrated.

    Raises:
        CalibrationError: they are damaged, or were calibrated for something else.
    """
    key = None if checkpoint.portable_references else hardware_key
    return load_calibration(
        calibration_path(settings.baselines, checkpoint.name, key, work.quality_label),
        checkpoint=checkpoint.name,
        identity=weights.identity,
        workload=work.quality,
        configuration=weights.configuration,
        asked=Asked(settings.checkpoint, work.options),
    )


def new_run_id() -> str:
    """UTC time to the second and four random digits; sorts by time."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def _compile_cache(settings: Settings) -> Path:
    """The compile cache that a person has named, or this project's own.

    Importing parts of torch sets the variable to torch's own default, a temporary folder.
    """
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    chosen = os.environ.get(COMPILE_CACHE)
    if chosen is None or chosen == default_cache_dir():
        return compile_cache(settings.out)
    return Path(chosen)
