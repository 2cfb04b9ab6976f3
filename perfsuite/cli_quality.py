"""Commands of the quality gate: `calibrate-quality` and `selftest --quality`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perfsuite.errors import CalibrationError, ReferenceImageError, SettingsError
from perfsuite.libraries import import_libraries, quietly
from perfsuite.progress import ProgressLine
from perfsuite.settings import resolve_settings

if TYPE_CHECKING:
    from perfsuite.quality.calibration import Calibration
    from perfsuite.run import Run
    from perfsuite.selftest.trial import Report

REQUIRED_SHARE = 0.95
"""Share of planted faults that has to be caught."""


@click.command("calibrate-quality")
@click.argument("checkpoint", default="pocket")
@click.option("--tiers", default=None, help="Tiers to calibrate, e.g. bf16,int8 (all).")
@click.option("--seeds", default=8, show_default=True, type=click.IntRange(2, 100))
@click.option("--device", default="auto", show_default=True)
@click.option("--baselines", default="baselines", show_default=True, help="Folder to write to.")
def calibrate_quality(
    checkpoint: str, tiers: str | None, seeds: int, device: str, baselines: str
) -> None:
    """Set the quality gate's thresholds from what the healthy tiers score."""
    run = prepare(checkpoint, tiers, device, baselines, uses_calibration=False)
    run.calibration = _known_calibration(run)
    from perfsuite.quality.calibrate import calibrate

    with progress_line() as line, quietly():
        calibration = calibrate(run, seeds, line.begin, line.update)
    for name, tier in calibration.tiers.items():
        bars = tier.bars
        click.echo(
            f"{name}: SSIM worst {bars.worst_ssim:.4f} mean {bars.mean_ssim:.4f} "
            f"median {bars.median_ssim:.4f}, PSNR worst {bars.worst_psnr_db:.1f} "
            f"mean {bars.mean_psnr_db:.1f} median {bars.median_psnr_db:.1f} dB, "
            f"worst latent cosine {bars.worst_latent_cosine:.6f} ({bars.source})"
        )


@click.command()
@click.option("--quality", is_flag=True, help="Plant faults and see whether images give them away.")
@click.option("--checkpoint", default="pocket", show_default=True)
@click.option("--tiers", default=None, help="Healthy tiers to check, e.g. fp32,int8 (all).")
@click.option("--only", multiple=True, help="A fault's name or part of it; can be given again.")
@click.option("--repeats", type=click.IntRange(1, 1000), help="Instead: healthy tiers, new seeds.")
@click.option("--device", default="auto", show_default=True)
@click.option("--baselines", default="baselines", show_default=True)
@click.option("--out", default=".perfsuite", show_default=True, help="Folder for selftest/.")
def selftest(
    quality: bool,
    checkpoint: str,
    tiers: str | None,
    only: tuple[str, ...],
    repeats: int | None,
    device: str,
    baselines: str,
    out: str,
) -> None:
    """Prove that the gate can fail: plant known faults, and see whether it catches them.

    Writes selftest/quality.json and selftest/quality.md under --out. Ends with exit code 1 if less
    than 95 % of the faults are caught, or if something healthy is called a fault.

    With --repeats no fault is planted: every tier makes the quality workload that often with seeds
    that no threshold has seen, and has to pass each time.
    """
    if not quality:
        raise click.UsageError("name what to test: perfsuite selftest --quality")
    run = prepare(checkpoint, tiers, device, baselines, out)
    if run.references is None:
        raise ReferenceImageError(
            f"checkpoint '{checkpoint}' has no reference images yet",
            mend=f"perfsuite record-references {checkpoint}",
        )
    if repeats is not None:
        _repeat(run, repeats)
        return
    with progress_line() as line, quietly():
        report = _try_all(run, only, line)
    _write(report, run.settings.out / "selftest")
    enough = report.caught >= REQUIRED_SHARE * len(report.faults)
    if not enough or report.alarms:
        raise SystemExit(1)


def _repeat(run: Run, repeats: int) -> None:
    from perfsuite.selftest.repeats import Repeat, repeat_tiers, summary
    from perfsuite.storage import write_json

    done: list[Repeat] = []
    path = run.settings.out / "selftest" / "repeats.json"
    with progress_line() as line, quietly():
        for each in repeat_tiers(run, repeats, line.begin, line.update):
            done.append(each)
            write_json(path, done)
    for said in summary(tuple(done)):
        click.echo(said)
    click.echo(f"written: {path}")
    if not all(each.passed for each in done):
        raise SystemExit(1)


def _try_all(run: Run, only: tuple[str, ...], line: ProgressLine) -> Report:
    """Try everything; what is known is kept in selftest/quality.json after each trial."""
    from perfsuite.quality.gate import ImageGate
    from perfsuite.selftest.faults import FAULTS, HARMLESS
    from perfsuite.selftest.trial import Bench, Report, try_faults, try_tiers
    from perfsuite.storage import write_json

    assert run.references is not None
    chosen = [fault for fault in FAULTS if not only or any(part in fault.name for part in only)]
    if not chosen:
        raise SettingsError(f"no fault is named like {', '.join(only)}", mend="leave out --only")
    folder = run.settings.out / "selftest"
    gate = ImageGate(run.references, run.calibration, folder)
    report = Report(run.checkpoint.name, run.record.identity)
    for trial in () if only else try_tiers(run, gate, line.begin, line.update):
        report = replace(report, healthy=(*report.healthy, trial))
        write_json(folder / "quality.json", report)
    with Bench(run, run.references) as bench:
        for trial in try_faults(bench, chosen, line.begin, line.update):
            report = replace(report, faults=(*report.faults, trial))
            write_json(folder / "quality.json", report)
        for trial in () if only else try_faults(bench, HARMLESS, line.begin, line.update):
            report = replace(report, harmless=(*report.harmless, trial))
            write_json(folder / "quality.json", report)
    return report


def _write(report: Report, folder: Path) -> None:
    from perfsuite.selftest.report import render_console, render_markdown
    from perfsuite.storage import write_json, write_whole

    click.echo(render_console(report, width=shutil.get_terminal_size().columns), nl=False)
    write_json(folder / "quality.json", report)
    write_whole(folder / "quality.md", render_markdown(report).encode())
    click.echo(f"written: {folder / 'quality.json'} and quality.md")


def _known_calibration(run: Run) -> Calibration | None:
    """Thresholds of these weights; what cannot be used is about to be replaced."""
    from perfsuite.prepare import find_calibration

    key, identity = run.store.hardware_key, run.record.identity
    try:
        return find_calibration(run.settings, key, run.checkpoint, identity)
    except CalibrationError:
        return None


def prepare(
    checkpoint: str,
    tiers: str | None,
    device: str,
    baselines: str,
    out: str | None = None,
    *,
    scores_images: bool = True,
    uses_calibration: bool = True,
) -> Run:
    """A session for a command, from its options and `[tool.perfsuite]`."""
    given: dict[str, Any] = {
        "checkpoint": checkpoint,
        "tiers": tiers,
        "device": device,
        "baselines": baselines,
        "out": out,
    }
    root = Path.cwd()
    settings = resolve_settings(given, root)
    import_libraries()
    from perfsuite.prepare import prepare_run

    return prepare_run(
        settings, root, scores_images=scores_images, uses_calibration=uses_calibration
    )


@contextmanager
def progress_line() -> Iterator[ProgressLine]:
    """A progress line on standard error, taken away at the end."""
    line = ProgressLine(sys.stderr)
    try:
        yield line
    finally:
        line.end()
