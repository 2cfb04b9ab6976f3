"""What settings ask to be measured: device, tiers, weights and workloads, checked beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perfsuite.checkpoints import Checkpoint, find_checkpoint
from perfsuite.compiler import check_compiler
from perfsuite.device import Device, find_device
from perfsuite.errors import OutputError, SettingsError
from perfsuite.ladder import (
    Tier,
    Weights,
    WeightsKey,
    check_method,
    describe_weights,
    expand,
    find_tiers,
    is_compiled,
    obstacle,
)
from perfsuite.results.support_reasons import Obstacle
from perfsuite.settings import Settings
from perfsuite.storage import check_outputs, check_writable
from perfsuite.workload import Workloads

_FOR_SDXL = ("cuda", "xpu")
_RECORD_BYTES = 16 << 20
_COMPILE_CACHE_BYTES = 256 << 20


@dataclass(frozen=True)
class Subject:
    """What is to be measured, found and checked before the first weight is loaded.

    Attributes:
        device: where pipelines run.
        tiers: in the ladder's order, those that are not supported here among them.
        checkpoint: where weights come from.
        workloads: one for each row of the matrix.
        weights: of the checkpoint (None), and those that rows name themselves.
        obstacles: by the tier's name, why it is not supported here.
    """

    device: Device
    tiers: tuple[Tier, ...]
    checkpoint: Checkpoint
    workloads: tuple[Workloads, ...]
    weights: Mapping[WeightsKey, Weights]
    obstacles: Mapping[str, Obstacle]

    @property
    def supported(self) -> tuple[Tier, ...]:
        """The tiers that can be measured here."""
        return tuple(tier for tier in self.tiers if tier.name not in self.obstacles)


def find_subject(
    settings: Settings,
    *,
    compile_cache: Path,
    default: str | None = None,
    needed_bytes: int | None = None,
    written: tuple[Path, ...] = (),
) -> Subject:
    """What settings ask to be measured.

    Args:
        settings: what was asked for.
        compile_cache: folder that compiled code will lie in; the compiler is tried there.
        default: the checkpoint if none is named; None chooses by device.
        needed_bytes: room that is needed in the output folder; None for what a session needs.
        written: files that will be written.

    Raises:
        PerfsuiteError: something is missing or does not fit; the message names the mend.
    """
    device = find_device(settings.device)
    wanted = find_tiers(expand(settings.tiers))
    checkpoint = find_checkpoint(settings.checkpoint or default or default_checkpoint(device))
    chosen = choose_workloads(settings, checkpoint)
    checkpoint.source.check()
    obstacles = _obstacles(wanted, checkpoint, device)
    supported = tuple(tier for tier in wanted if tier.name not in obstacles)
    concerned = _with_references(supported)
    for tier in concerned:
        check_method(tier, checkpoint)
    compiles = any(is_compiled(tier) for tier in supported)
    session_bytes = _COMPILE_CACHE_BYTES if compiles else _RECORD_BYTES
    check_places(settings, needed_bytes or session_bytes, *written)
    if compiles:
        check_compiler(compile_cache)
    weights = describe_weights(concerned, checkpoint)
    return Subject(device, wanted, checkpoint, chosen, weights, obstacles)


def _obstacles(
    wanted: tuple[Tier, ...], checkpoint: Checkpoint, device: Device
) -> dict[str, Obstacle]:
    found = {tier.name: obstacle(tier, checkpoint, device) for tier in wanted}
    return {name: why for name, why in found.items() if why is not None}


def choose_workloads(settings: Settings, checkpoint: Checkpoint) -> tuple[Workloads, ...]:
    """The checkpoint's workloads with what was asked for, one for each row of the matrix.

    Raises:
        SettingsError: two of them time the same work, whose baselines would be one file.
    """
    chosen = tuple(checkpoint.workloads(asked) for asked in settings.workloads)
    for number, work in enumerate(chosen):
        same = next((each for each in chosen[:number] if each.latency == work.latency), None)
        if same is not None:
            raise SettingsError(
                f"workloads '{same.name}' and '{work.name}' time the same work",
                hint="leave one of them out of --perf-workload",
            )
    return chosen


def _with_references(wanted: tuple[Tier, ...]) -> tuple[Tier, ...]:
    """Tiers, and those that make what methods of their own are held against; each once."""
    named = [name for tier in wanted for name in (tier.reference, tier.as_good_as) if name]
    return tuple(dict.fromkeys((*wanted, *(find_tiers(named) if named else ()))))


def default_checkpoint(device: Device) -> str:
    """The trained miniature; SDXL itself on CUDA, ROCm (torch calls it CUDA too) and XPU.

    Of other accelerators (a Mac's) the memory is the computer's own, and 14 GB of weights are more
    than should be loaded unasked.
    """
    return "sdxl" if device.name in _FOR_SDXL else "pocket"


def default_note(settings: Settings, device: Device) -> str | None:
    """Why an accelerator measures the miniature if nobody has named a checkpoint; None if not."""
    if settings.checkpoint or not device.is_accelerator or default_checkpoint(device) == "sdxl":
        return None
    return (
        f"the device is {device.name}, so that pocket is measured: sdxl is the default on CUDA, "
        "ROCm and XPU only; --perf-checkpoint sdxl asks for it (14 GB)"
    )


def check_places(settings: Settings, needed_bytes: int, *files: Path) -> None:
    """See that what a run writes can be written, and that the baselines' folder is one.

    Args:
        settings: name the folders.
        needed_bytes: room for records.
        files: that will be written.

    Raises:
        OutputError: something cannot be written, or is in the way.
    """
    check_writable(settings.out, needed_bytes)
    check_outputs(*files)
    if settings.baselines.exists() and not settings.baselines.is_dir():
        hint = "name the folder of the baselines: --perf-baselines"
        raise OutputError(f"{settings.baselines} is no folder", hint=hint)
