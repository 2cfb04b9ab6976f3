"""What the commands share: preparing a session from options, and a progress line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.libraries import import_libraries
from perfsuite.progress import ProgressLine
from perfsuite.settings import resolve_settings

if TYPE_CHECKING:
    from perfsuite.run import Run


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
