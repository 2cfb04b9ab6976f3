"""What the commands share: preparing a session from options, and a progress line."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.errors import SettingsError
from perfsuite.libraries import import_libraries
from perfsuite.progress import ProgressLine
from perfsuite.settings import find_root, resolve_settings
from perfsuite.storage import write_whole

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"

if TYPE_CHECKING:
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
) -> Run:
    """A session for a command, from its options and `[tool.perfsuite]`."""
    given: dict[str, Any] = {
        "checkpoint": checkpoint,
        "tiers": tiers,
        "device": device,
        "baselines": baselines,
        "out": out,
    }
    root = find_root(Path.cwd())
    settings = resolve_settings(given, root, flag="--")
    import_libraries()
    from perfsuite.session.preflight import prepare_run

    return prepare_run(
        settings, root, scores_images=scores_images, uses_calibration=uses_calibration
    )


class _NoTests:
    """A pytest plugin that ends a session once the first conftests are loaded."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self) -> int:
        return 0


def load_conftests() -> None:
    """Load the conftests that pytest would load first in this folder: they may register tiers.

    Raises:
        SettingsError: one cannot be loaded, or pytest cannot be configured here.
    """
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main([], plugins=[_NoTests()])
    if code != pytest.ExitCode.OK:
        lines = [line.strip() for line in said.getvalue().splitlines() if line.strip()]
        errors = [line[1:].strip() for line in lines if line.startswith("E ")]
        raise SettingsError(
            f"the tiers of {Path.cwd()} cannot be read ({(errors or lines or [str(code)])[0]})",
            hint="mend its conftest.py, so that pytest runs there",
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


def publish(text: str, markdown: Path | None) -> None:
    """Write Markdown to the file that was asked for, and to the summary of a CI system's job."""
    if markdown is not None:
        write_whole(markdown, text.encode())
    summary = os.environ.get(SUMMARY_VARIABLE)
    if summary:
        with open(summary, "a", encoding="utf-8") as file:
            file.write(text)
