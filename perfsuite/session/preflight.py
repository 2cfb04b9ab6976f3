"""Everything that can fail before the first weight is loaded, so that it fails there."""

from __future__ import annotations

import datetime
import gc
import os
import secrets
import shutil
from pathlib import Path

import torch

from perfsuite.checkpoints import Checkpoint, find_checkpoint
from perfsuite.device import Device, find_device
from perfsuite.environment import describe_environment
from perfsuite.errors import CompilerMissing, ReferenceImageError, SettingsError
from perfsuite.images.calibration import calibration_path, load_calibration
from perfsuite.ladder import Tier, find_tiers, is_compiled, tiers
from perfsuite.results.images import Calibration
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.policy import Policy
from perfsuite.results.session import RunRecord
from perfsuite.session.run import COMPILE_CACHE, Run
from perfsuite.settings import Settings
from perfsuite.storage import check_writable
from perfsuite.stores.baselines import Baseline, BaselineStore
from perfsuite.stores.references import MANIFEST, References, load_references

_RECORD_BYTES = 16 << 20
_COMPILE_CACHE_BYTES = 256 << 20


def prepare_run(
    settings: Settings,
    root: Path,
    *,
    scores_images: bool = True,
    uses_calibration: bool = True,
    needs_baseline: bool = False,
) -> Run:
    """Check everything that can be checked before the first weight is loaded.

    Args:
        settings: what was asked for.
        root: folder of the project; its git revision is recorded.
        scores_images: whether references are needed.
        uses_calibration: whether thresholds of the quality gate are needed too.
        needs_baseline: whether latencies are judged, so that `--perf-missing fail` asks for a
            baseline of each tier.

    Raises:
        PerfsuiteError: something is missing or does not fit; the message names the mend.
    """
    threads_before, cache_before = torch.get_num_threads(), os.environ.get(COMPILE_CACHE)
    device = find_device(settings.device)
    wanted = find_tiers(settings.tiers or [tier.name for tier in tiers()])
    compiles = any(is_compiled(tier) for tier in wanted)
    if compiles:
        check_compiler()
    checkpoint = find_checkpoint(settings.checkpoint or default_checkpoint(device))
    checkpoint.source.check()
    check_writable(settings.out, _COMPILE_CACHE_BYTES if compiles else _RECORD_BYTES)
    _set_up_torch(settings, device)
    environment = describe_environment(device, settings.machine_label, root)
    store = BaselineStore(
        settings.baselines,
        settings.out / "baselines",
        environment.hardware.key,
        checkpoint.name,
        checkpoint.latency.digest,
    )
    baseline = _load_baseline(store, settings)
    if needs_baseline and settings.missing == "fail" and settings.update is None:
        _require_baseline(baseline, wanted, store)
    _keep_imports_out_of_garbage_collection()
    identity = checkpoint.source.identity()
    references = (
        find_references(settings, store.hardware_key, checkpoint, identity, wanted)
        if scores_images
        else None
    )
    calibration = (
        find_calibration(settings, store.hardware_key, checkpoint, identity)
        if scores_images and uses_calibration
        else None
    )
    record = RunRecord(
        SCHEMA,
        new_run_id(),
        environment,
        checkpoint.name,
        identity,
        checkpoint.latency,
        checkpoint.quality,
        Policy(tolerance=settings.tolerance, multiplicity=len(wanted)),
        str(store.find()) if baseline else None,
    )
    return Run(
        settings,
        device,
        checkpoint,
        wanted,
        store,
        baseline,
        references,
        record,
        calibration=calibration,
        _threads_before=threads_before,
        _compile_cache_before=cache_before,
    )


def _load_baseline(store: BaselineStore, settings: Settings) -> Baseline | None:
    # Read even if it is to be replaced: a file that cannot be used stops the run here, not later.
    baseline = store.load()
    return None if settings.update == "replace" else baseline


def _require_baseline(
    baseline: Baseline | None, wanted: tuple[Tier, ...], store: BaselineStore
) -> None:
    """Stop where a tier that is to be judged has no baseline.

    Raises:
        SettingsError: there is none, or it lacks a tier.
    """
    known = baseline.tiers if baseline else {}
    lacking = ",".join(tier.name for tier in wanted if tier.name not in known)
    if lacking:
        where = store.find() or f"{store.hardware_key} in {store.committed}"
        raise SettingsError(
            f"no baseline for {lacking} of {where}" if baseline else f"no baseline for {where}",
            hint=f"record one: perfsuite record --runs 5 --perf-tiers {lacking}, "
            "or pass --perf-missing record",
        )


def default_checkpoint(device: Device) -> str:
    """The trained miniature on a CPU, SDXL itself on an accelerator."""
    return "sdxl" if device.is_accelerator else "pocket"


def check_compiler() -> None:
    """See that inductor will find a C++ compiler.

    Raises:
        CompilerMissing: it will not.
    """
    chosen = os.environ.get("CXX")
    candidates = [chosen] if chosen else ["g++", "clang++"]
    if not any(shutil.which(candidate) for candidate in candidates):
        raise CompilerMissing(
            f"no C++ compiler ({' or '.join(candidates)}) for the compiled tiers",
            hint="install g++, set CXX, or leave them out: --perf-tiers fp32,bf16,sdpa",
        )


def find_references(
    settings: Settings,
    hardware_key: str,
    checkpoint: Checkpoint,
    identity: str,
    wanted: tuple[Tier, ...],
) -> References | None:
    """References of a checkpoint: of any hardware, of this hardware, or recorded here before.

    Returns:
        None if there are none and the run's first tier will make them.

    Raises:
        ReferenceImageError: they are damaged or of something else, or none of this run's tiers
            can make them.
    """
    name = checkpoint.name
    for folder in (
        settings.baselines / "references" / name,
        settings.baselines / hardware_key / "references" / name,
        settings.out / "references" / hardware_key / name,
    ):
        if (folder / MANIFEST).is_file():
            return load_references(
                folder, checkpoint=name, identity=identity, workload=checkpoint.quality
            )
    if wanted[0].parent is not None:
        raise ReferenceImageError(
            f"checkpoint '{name}' has no reference images yet",
            hint=f"perfsuite record-references {name}, or begin --perf-tiers with fp32",
        )
    return None


def find_calibration(
    settings: Settings, hardware_key: str, checkpoint: Checkpoint, identity: str
) -> Calibration | None:
    """Thresholds of the quality gate for a checkpoint; None if it was never calibrated.

    Raises:
        CalibrationError: they are damaged, or were calibrated for something else.
    """
    key = None if checkpoint.portable_references else hardware_key
    return load_calibration(
        calibration_path(settings.baselines, checkpoint.name, key),
        checkpoint=checkpoint.name,
        identity=identity,
        workload=checkpoint.quality,
    )


def new_run_id() -> str:
    """UTC time to the second and four random digits; sorts by time."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def _keep_imports_out_of_garbage_collection() -> None:
    """Move what is alive by now out of the collector's sight.

    The libraries are millions of objects; going through them takes a quarter of a second, and would
    be taken out of somebody's sample.
    """
    gc.collect()
    gc.freeze()


def _set_up_torch(settings: Settings, device: Device) -> None:
    """Threads, and a compile cache that survives the run."""
    threads = settings.threads or (None if device.is_accelerator else 1)
    if threads is not None:
        torch.set_num_threads(threads)
    if not _compile_cache_is_chosen():
        os.environ[COMPILE_CACHE] = str(settings.out / "cache" / "inductor")


def _compile_cache_is_chosen() -> bool:
    """Whether a person has named a compile cache.

    Importing parts of torch sets the variable to torch's own default, a temporary folder.
    """
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    return os.environ.get(COMPILE_CACHE) not in (None, default_cache_dir())
