"""The command `structure`: what CUDA code of the ladder consists of, without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perfsuite.cli.common import (
    COULD_NOT_RUN,
    check_markdown,
    progress_line,
    publish,
    put,
    say,
    show,
    workload_options,
)
from perfsuite.conftests import load_conftests
from perfsuite.errors import SettingsError
from perfsuite.libraries import import_libraries, quietly
from perfsuite.settings import find_root, resolve_settings
from perfsuite.workload import labelled

if TYPE_CHECKING:
    from perfsuite.checkpoints import Checkpoint
    from perfsuite.device import Device
    from perfsuite.ladder import Tier
    from perfsuite.report.table import Document
    from perfsuite.results.deviceless import StructureRecord
    from perfsuite.results.deviceless_comparison import StructureComparison, StructureOutcome
    from perfsuite.settings import Settings
    from perfsuite.workload import Workloads

CHANGED, NOT_SETTLED = 1, 3
_DEFAULT_ARCHS = "sm_80,sm_90"


@click.command()
@click.option("--checkpoint", show_default="sdxl-random")
@click.option("--tiers", help="Tiers to count, e.g. bf16,int8 (all).")
@click.option("--kernels", is_flag=True, help="Compile too; needs a torch with Triton.")
@click.option("--arch", default=_DEFAULT_ARCHS, show_default=True, help="Of the kernels.")
@click.option(
    "--against",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A record to compare with, instead of the expectation under --baselines.",
)
@click.option(
    "--against-device", is_flag=True, help="Compare with what this machine's GPU really runs."
)
@click.option(
    "--record",
    "recorded",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Compare this record with --against, instead of counting anew.",
)
@click.option("--update", is_flag=True, help="Keep the result as the expectation.")
@click.option("--baselines", show_default="baselines", help="Folder of expectations.")
@click.option("--out", help="Folder for structure/ (.perfsuite).")
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write it here.")
@click.option(
    "--format", "dialect", type=click.Choice(["console", "markdown", "json"]), default="console"
)
@workload_options
def structure(
    kernels: bool,
    arch: str,
    against: Path | None,
    against_device: bool,
    recorded: Path | None,
    update: bool,
    markdown: Path | None,
    dialect: str,
    **given: Any,
) -> None:
    """Count operators, memory and kernels of every tier for CUDA, on any machine.

    Nothing is launched and nothing is timed. With the versions of the expectation a difference is a
    change; between versions it is printed for review.

    Ends with exit code 0 if nothing has changed or the versions differ, 1 if something has changed
    with the same versions, 2 on wrong usage, 3 without an expectation or on an unsupported torch, 4
    if it could not run, 130 on Ctrl-C.
    """
    check_markdown(markdown)
    if recorded is not None:
        comparison = _compare_records(recorded, against, markdown, dialect)
        raise SystemExit(_exit_code(comparison.outcome))
    settings = resolve_settings(given, find_root(Path.cwd()), flag="--")
    with quietly():
        import_libraries()
        load_conftests()
    tiers, checkpoint, workloads = _subject(settings)
    archs = _archs(arch, tiers) if kernels else ()
    device = _device(against, update) if against_device else None
    if against is not None:
        _read(against)
    label = labelled(checkpoint.name, workloads.latency_label)
    record = _counted(tiers, checkpoint, workloads, archs, settings.out, label)
    if device is not None:
        comparison = _compared_with(device, record, tiers, checkpoint, workloads)
    else:
        comparison = _compared(record, settings, label, against, update)
    _report(record, comparison, markdown, dialect)
    kept = _keep(record, settings, label, update)
    raise SystemExit(0 if kept else _exit_code(comparison.outcome))


def _archs(text: str, tiers: tuple[Tier, ...]) -> tuple[str, ...]:
    """Architectures that this environment can compile for."""
    from perfsuite.deviceless.cards import find_cards
    from perfsuite.deviceless.kernels import triton_version
    from perfsuite.ladder import is_compiled

    archs = find_cards(text)
    if not any(is_compiled(tier) for tier in tiers):
        names = ",".join(tier.name for tier in tiers)
        raise SettingsError(f"no tier of {names} is compiled", hint="leave --kernels out")
    triton_version()
    return archs


def _subject(settings: Settings) -> tuple[tuple[Tier, ...], Checkpoint, Workloads]:
    from perfsuite.checkpoints import find_checkpoint
    from perfsuite.ladder import expand, find_tiers
    from perfsuite.storage import check_writable

    if len(settings.workloads) > 1:
        raise SettingsError("structure takes one workload", hint="name one with --workload")
    wanted = find_tiers(expand(settings.tiers))
    checkpoint = find_checkpoint(settings.checkpoint or "sdxl-random")
    check_writable(settings.out, 0)
    return wanted, checkpoint, checkpoint.workloads(settings.workloads[0])


def _counted(
    tiers: tuple[Tier, ...],
    checkpoint: Checkpoint,
    workloads: Workloads,
    archs: tuple[str, ...],
    out: Path,
    label: str,
) -> StructureRecord:
    """Count every tier; the record is written after each."""
    from perfsuite.deviceless.survey import survey
    from perfsuite.results.deviceless import save_structure
    from perfsuite.stores.deviceless import expectation_path

    def keep(record: StructureRecord) -> None:
        save_structure(expectation_path(out, label, record.packages["torch"]), record)

    with progress_line() as line:
        return survey(tiers, checkpoint, workloads, line.begin, keep, archs)


def _compare_records(
    recorded: Path, against: Path | None, markdown: Path | None, dialect: str
) -> StructureComparison:
    """Two records held against each other; nothing is counted."""
    from perfsuite.judge.deviceless import compare_structures
    from perfsuite.stores.deviceless import load_expectation

    if against is None:
        raise SettingsError("--record is compared with --against", hint="name that record too")
    record = _read(recorded)
    comparison = compare_structures(record, load_expectation(against, record), against.name)
    _report(record, comparison, markdown, dialect)
    return comparison


def _device(against: Path | None, update: bool) -> Device:
    """This machine's accelerator, to compare with."""
    from perfsuite.device import find_device

    if against is not None or update:
        raise SettingsError(
            "--against-device is a comparison of its own", hint="leave --against and --update out"
        )
    device = find_device("auto")
    if not device.is_accelerator:
        raise SettingsError(
            "--against-device needs a GPU, and torch finds none", hint="leave it out here"
        )
    return device


def _compared_with(
    device: Device,
    record: StructureRecord,
    tiers: tuple[Tier, ...],
    checkpoint: Checkpoint,
    workloads: Workloads,
) -> StructureComparison:
    """Operators and memory of the record's modules held against the device's own."""
    from perfsuite.deviceless.survey import modules_only, survey_on
    from perfsuite.judge.deviceless import compare_structures

    checkpoint.source.check()
    with progress_line() as line, quietly():
        real = survey_on(device, record, tiers, checkpoint, workloads, line.begin)
    return compare_structures(modules_only(record), real, f"this machine's {device.name}")


def _read(path: Path) -> StructureRecord:
    from perfsuite.results.deviceless import load_structure

    return load_structure(path)


def _compared(
    record: StructureRecord, settings: Settings, label: str, against: Path | None, update: bool
) -> StructureComparison:
    """The record held against what was named, or against the nearest expectation.

    An expectation that is about to be replaced may be of anything, and is compared with if it can.
    """
    from perfsuite.errors import BaselineError
    from perfsuite.judge.deviceless import compare_structures
    from perfsuite.stores.deviceless import (
        expectation_path,
        load_expectation,
        nearest_expectation,
    )

    own = expectation_path(settings.baselines, label, record.packages["torch"])
    path = against or nearest_expectation(own)
    if path is None:
        return compare_structures(record, None, None)
    try:
        return compare_structures(record, load_expectation(path, record), path.name)
    except BaselineError:
        if not update:
            raise
        return compare_structures(record, None, None)


def _keep(record: StructureRecord, settings: Settings, label: str, update: bool) -> bool:
    """Write the expectation where that is wanted; whether it was written.

    What this torch could not be asked is nobody's expectation.
    """
    from perfsuite.stores.deviceless import expectation_path, update_expectation

    if not update:
        return False
    path = expectation_path(settings.baselines, label, record.packages["torch"])
    if record.unsupported:
        say(f"not kept as {path}: this torch is not supported in full")
        return False
    update_expectation(path, record)
    say(f"expectation: {path}")
    return True


def _report(
    record: StructureRecord,
    comparison: StructureComparison,
    markdown: Path | None,
    dialect: str,
) -> None:
    from perfsuite.report.deviceless import structure_document

    document = structure_document(record, comparison)
    if not _written(document, dialect):
        raise SystemExit(COULD_NOT_RUN)
    publish(document, markdown)


def _written(document: Document, dialect: str) -> bool:
    from perfsuite.report.json import render_json
    from perfsuite.report.markdown import render_markdown

    if dialect == "console":
        return show(document)
    return put({"markdown": render_markdown, "json": render_json}[dialect](document))


def _exit_code(outcome: StructureOutcome) -> int:
    from perfsuite.results.deviceless_comparison import StructureOutcome

    if outcome is StructureOutcome.CHANGED:
        return CHANGED
    settled = (StructureOutcome.SAME, StructureOutcome.REVIEW)
    return 0 if outcome in settled else NOT_SETTLED
