"""One line on a terminal that says what is going on, once it takes longer than two seconds.

Nothing is drawn inside a sample: the line changes only when it is told to, between samples, and
no thread redraws it. On a dumb terminal and in CI logs nothing is drawn at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from perfsuite.settings import in_ci

PATIENCE_S = 2.0
_REDRAW_S = 0.2

Progress = Callable[[str, int, int], None]
"""Told after each step: what is being done, steps done, steps in all."""


def silent(what: str, done: int, total: int) -> None:
    """No progress."""


def duration(seconds: float) -> str:
    """A duration for people: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


class ProgressLine:
    """A line at the foot of the terminal.

    Args:
        terminal: where to draw; None, or something that is no terminal, draws nothing.
        before: called before the line of each title first appears, to finish a line that others
            have begun.
        clock: seconds.
    """

    def __init__(
        self,
        terminal: TextIO | None,
        before: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = Console(file=terminal) if terminal is not None else None
        self._before = before
        self._clock = clock
        self._title = ""
        self._since = 0.0
        self._drawn = 0.0
        self._live: Live | None = None

    @property
    def draws(self) -> bool:
        """Whether there is a terminal that can redraw a line."""
        return (
            self._console is not None
            and self._console.is_terminal
            and not self._console.is_dumb_terminal
            and not in_ci()
        )

    def begin(self, title: str) -> None:
        """Say what the next steps are about; nothing is drawn yet."""
        self.end()
        self._title = title
        self._since = self._clock()

    def update(self, what: str, done: int, total: int) -> None:
        """Draw the line, if it is time to."""
        now = self._clock()
        if not self.draws or now - self._since < PATIENCE_S or now - self._drawn < _REDRAW_S:
            return
        self._drawn = now
        if self._live is None:
            self._before()
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(self._line(what, done, total), refresh=True)

    def end(self) -> None:
        """Take the line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _line(self, what: str, done: int, total: int) -> Table:
        line = Table.grid(padding=(0, 1))
        count = f"{done}/{total}" if total > 1 else ""
        bar = ProgressBar(total=max(total, 1), completed=done, width=24) if total > 1 else ""
        line.add_row(self._title, what, bar, count)
        return line
