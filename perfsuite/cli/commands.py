"""The command line: `perfsuite tiers`, `record`, `record-references` and more."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from perfsuite.cli.bisect import bisect
from perfsuite.cli.common import load_conftests, prepare, progress_line
from perfsuite.cli.gate import gate
from perfsuite.cli.quality import calibrate_quality
from perfsuite.cli.selftest import selftest
from perfsuite.errors import PerfsuiteError
from perfsuite.libraries import quietly


class _Commands(click.Group):
    """Shows perfsuite's own errors as one line, with exit code 2, as click does for usage."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except PerfsuiteError as error:
            raise click.UsageError(str(error)) from None


@click.group(cls=_Commands)
@click.version_option(package_name="perfsuite")
def main() -> None:
    """Performance-regression tests for SDXL diffusion pipelines; measure with `pytest -m perf`."""


@main.command()
def tiers() -> None:
    """Print the ladder: what each tier adds and why; those of the folder's conftest.py too."""
    load_conftests()
    with quietly():
        from perfsuite.ladder import summarise
        from perfsuite.ladder import tiers as registered
        from perfsuite.report import render_tiers
    width = min(shutil.get_terminal_size().columns, 100)
    rows = [summarise(tier) for tier in registered()]
    click.echo(render_tiers(rows, width=width, colour=sys.stdout.isatty()), nl=False)


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1, 100))
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def record(runs: int, pytest_arguments: tuple[str, ...]) -> None:
    """Record a baseline from several runs, each in a fresh process.

    The first run replaces what is there, the others are added. What is given after the options
    goes to pytest, for instance --perf-tiers fp32,bf16.
    """
    for number in range(1, runs + 1):
        how = "replace" if number == 1 else "add"
        click.secho(f"run {number} of {runs}", bold=True)
        command = [sys.executable, "-m", "pytest", "-m", "perf", "--perf-only=latency", "-q"]
        done = subprocess.run([*command, f"--perf-update={how}", *pytest_arguments], check=False)
        if done.returncode != 0:
            click.echo(f"run {number} ended with pytest's exit code {done.returncode}", err=True)
            raise SystemExit(done.returncode)


@main.command("record-references")
@click.argument("checkpoint", default="pocket")
@click.option("--device", default="auto", show_default=True)
@click.option("--baselines", default="baselines", show_default=True, help="Folder to write to.")
def record_references(checkpoint: str, device: str, baselines: str) -> None:
    """Make the fp32 reference images and latents of a checkpoint."""
    run = prepare(checkpoint, None, device, baselines, scores_images=False)
    from perfsuite.ladder import build_tier, reference_tier

    name = run.checkpoint.name
    keyed = Path(run.store.hardware_key, "references", name)
    portable = Path("references", name)
    folder = run.settings.baselines / (portable if run.checkpoint.portable_references else keyed)
    with (
        progress_line() as line,
        build_tier(reference_tier(), run.checkpoint, run.device) as fp32,
        quietly(),
    ):
        line.begin("references")
        references = run.record_references(fp32, folder, line.update)
    click.echo(f"{len(references.images)} reference images in {references.folder}")


main.add_command(gate)
main.add_command(bisect)
main.add_command(calibrate_quality)
main.add_command(selftest)
