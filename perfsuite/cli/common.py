"""What the commands share: preparing a session from options, and a progress line."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perfsuite.libraries import import_libraries
from perfsuite.progress import ProgressLine
from perfsuite.settings import resolve_settings
from perfsuite.storage import write_whole

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"

if TYPE_CHECKING:
    from perfsuite.report.table import Document
    from perfsuite.session.run import Run


def prepare(
    checkpoint: str,
    tiers: str | None,
    device: str,
    baselines: str,
    out: str | None = None,
    *,
    scores_images: bool = True,
    uses_calibration: bool = True,
    **workload: Any,
) -> Run:
    """A session for a command, from its options and `[tool.perfsuite]`.

    With several workloads it is the first one's run; `siblings` are all of them.
    """
    given: dict[str, Any] = {
        **workload,
        "checkpoint": checkpoint,
        "tiers": tiers,
        "device": device,
        "baselines": baselines,
        "out": out,
    }
    root = Path.cwd()
    settings = resolve_settings(given, root)
    import_libraries()
    from perfsuite.session.preflight import prepare_run

    return prepare_run(
        settings, root, scores_images=scores_images, uses_calibration=uses_calibration
    )


def workload_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that choose a workload, as pytest has them with `--perf-` before."""
    for name, metavar, about in reversed(_WORKLOAD_OPTIONS):
        command = click.option(f"--{name}", default=None, metavar=metavar, help=about)(command)
    return command


_WORKLOAD_OPTIONS = (
    ("workload", "NAME", "A [tool.perfsuite.workloads.NAME] table."),
    ("steps", "N", "Denoising steps."),
    ("guidance", "G", "Classifier-free guidance."),
    ("size", "WxH", "Pixels, e.g. 1024x768."),
    ("batch", "N", "Images per call that is timed."),
    ("prompt", "TEXT", "Prompt that is timed."),
)


@contextmanager
def progress_line() -> Iterator[ProgressLine]:
    """A progress line on standard error, taken away at the end."""
    line = ProgressLine(sys.stderr)
    try:
        yield line
    finally:
        line.end()


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """A CI system that cancels a job sends SIGTERM, which would leave the workers behind."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def show(document: Document) -> None:
    """Print a report."""
    from perfsuite.report.console import render_console

    width = min(shutil.get_terminal_size().columns, 100)
    shown = render_console(document, width=width, colour=sys.stdout.isatty())
    click.echo(shown, nl=False)


def publish(document: Document, markdown: Path | None) -> None:
    """Write Markdown to the file that was asked for, and to the summary of a CI system's job."""
    from perfsuite.report.markdown import render_markdown

    text = render_markdown(document)
    if markdown is not None:
        write_whole(markdown, text.encode())
    summary = os.environ.get(SUMMARY_VARIABLE)
    if summary:
        with open(summary, "a", encoding="utf-8") as file:
            file.write(text)
