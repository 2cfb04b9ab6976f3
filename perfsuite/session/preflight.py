"""Everything that can fail before the first weight is loaded, so that it fails there."""

from __future__ import annotations

import datetime
import gc
import os
import secrets
import shlex
from pathlib import Path

import torch

from perfsuite.checkpoints import Checkpoint, find_checkpoint
from perfsuite.compiler import COMPILE_CACHE, check_compiler, compile_cache
from perfsuite.device import Device, find_device
from perfsuite.environment import describe_environment
from perfsuite.errors import ReferenceImageError, SettingsError
from perfsuite.images.calibration import calibration_path, load_calibration
from perfsuite.ladder import Tier, find_tiers, is_compiled, tiers
from perfsuite.results.images import Calibration
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.policy import Policy
from perfsuite.results.session import RunRecord
from perfsuite.session.run import Run
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
    selected: frozenset[str] | None = None,
) -> Run:
    """Check everything that can be checked before the first weight is loaded.

    Args:
        settings: what was asked for.
        root: folder of the project; its git revision is recorded.
        scores_images: whether references are needed.
        uses_calibration: whether thresholds of the quality gate are needed too.
        selected: tiers that tests are left for; None for all. A compiler is asked for by these.

    Raises:
        PerfsuiteError: something is missing or does not fit; the message names the mend.
    """
    threads_before, cache_before = torch.get_num_threads(), os.environ.get(COMPILE_CACHE)
    device = find_device(settings.device)
    wanted = find_tiers(settings.tiers or [tier.name for tier in tiers()])
    compiles = any(is_compiled(tier) and tier.name in (selected or {tier.name}) for tier in wanted)
    checkpoint = find_checkpoint(settings.checkpoint or default_checkpoint(device))
    checkpoint.source.check()
    check_writable(settings.out, _COMPILE_CACHE_BYTES if compiles else _RECORD_BYTES)
    cache = _compile_cache(settings)
    if compiles:
        check_compiler(cache)
    _set_up_torch(settings, device, cache)
    environment = describe_environment(device, settings.machine_label, root)
    store = BaselineStore(
        settings.baselines,
        settings.out / "baselines",
        environment.hardware.key,
        checkpoint.name,
        checkpoint.latency.digest,
    )
    baseline = _load_baseline(store, settings)
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
    if settings.update == "replace":
        return None
    if baseline is None and settings.missing == "fail" and settings.update is None:
        raise SettingsError(
            f"no baseline for {store.hardware_key} in {settings.baselines}",
            hint="record one: perfsuite record --runs 5, or pass --perf-missing record",
        )
    return baseline


def default_checkpoint(device: Device) -> str:
    """The trained miniature on a CPU, SDXL itself on an accelerator."""
    return "sdxl" if device.is_accelerator else "pocket"


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
        asked = shlex.quote(settings.checkpoint or name)
        raise ReferenceImageError(
            f"checkpoint '{name}' has no reference images yet",
            hint=f"perfsuite record-references {asked}, or begin --perf-tiers with fp32",
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


def _set_up_torch(settings: Settings, device: Device, cache: Path) -> None:
    """Threads, and a compile cache that survives the run."""
    threads = settings.threads or (None if device.is_accelerator else 1)
    if threads is not None:
        torch.set_num_threads(threads)
    os.environ[COMPILE_CACHE] = str(cache)


def _compile_cache(settings: Settings) -> Path:
    """The compile cache that a person has named, or this project's own.

    Importing parts of torch sets the variable to torch's own default, a temporary folder.
    """
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    chosen = os.environ.get(COMPILE_CACHE)
    if chosen is None or chosen == default_cache_dir():
        return compile_cache(settings.out)
    return Path(chosen)
