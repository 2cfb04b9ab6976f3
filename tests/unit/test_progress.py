from __future__ import annotations

import io
from dataclasses import dataclass

import pytest

from perfsuite.progress import PATIENCE_S, ProgressLine, duration


class Terminal(io.StringIO):
    """A terminal that keeps what was drawn."""

    def isatty(self) -> bool:
        return True


@dataclass
class Clock:
    """A clock that a test winds."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _capable_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def draw(terminal: io.StringIO) -> str:
    """What stands on a terminal after a step that came too late to be silent about."""
    clock = Clock()
    line = ProgressLine(terminal, clock=clock)
    line.begin("bf16")
    clock.now += PATIENCE_S + 1
    line.update("sampling", 3, 10)
    line.end()
    return terminal.getvalue()


def test_a_terminal_shows_what_is_going_on() -> None:
    drawn = draw(Terminal())
    assert all(word in drawn for word in ("bf16", "sampling", "3/10"))


def test_something_that_is_no_terminal_stays_empty() -> None:
    assert draw(io.StringIO()) == ""


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_dumb_terminal_stays_empty(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    assert draw(Terminal()) == ""


def test_a_ci_log_stays_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert draw(Terminal()) == ""


def test_without_a_terminal_every_call_is_harmless() -> None:
    line = ProgressLine(None, clock=Clock())
    assert not line.draws
    line.begin("bf16")
    line.update("sampling", 1, 2)
    line.end()


def test_nothing_is_drawn_within_two_seconds_of_the_beginning() -> None:
    clock, terminal = Clock(), Terminal()
    line = ProgressLine(terminal, clock=clock)
    line.begin("bf16")
    for moment in (0.0, 1.0, 1.9):
        clock.now = 1000 + moment
        line.update("sampling", 1, 10)
        assert terminal.getvalue() == ""
    clock.now = 1002.1
    line.update("sampling", 2, 10)
    assert "2/10" in terminal.getvalue()
    line.end()


def test_patience_begins_anew_with_every_title() -> None:
    clock, terminal = Clock(), Terminal()
    line = ProgressLine(terminal, clock=clock)
    line.begin("fp32")
    clock.now += 60
    line.begin("bf16")
    line.update("sampling", 1, 10)
    assert terminal.getvalue() == ""


def test_the_line_is_not_redrawn_more_than_five_times_a_second() -> None:
    clock, terminal = Clock(), Terminal()
    line = ProgressLine(terminal, clock=clock)
    line.begin("bf16")
    clock.now += 3
    line.update("sampling", 1, 10)
    drawn = terminal.getvalue()
    clock.now += 0.1
    line.update("sampling", 2, 10)
    assert terminal.getvalue() == drawn
    clock.now += 0.15
    line.update("sampling", 3, 10)
    assert "3/10" in terminal.getvalue()[len(drawn) :]
    line.end()


def test_a_line_begun_by_others_is_finished_once_and_only_if_something_is_drawn() -> None:
    calls: list[str] = []
    clock, terminal = Clock(), Terminal()
    line = ProgressLine(terminal, before=lambda: calls.append(terminal.getvalue()), clock=clock)
    line.begin("bf16")
    line.update("sampling", 1, 10)
    assert calls == []
    for _ in range(3):
        clock.now += 3
        line.update("sampling", 2, 10)
    line.end()
    assert calls == [""]


def test_one_step_alone_has_no_bar_and_no_count() -> None:
    clock, terminal = Clock(), Terminal()
    line = ProgressLine(terminal, clock=clock)
    line.begin("bf16")
    clock.now += 3
    line.update("compiling", 0, 1)
    line.end()
    assert "compiling" in terminal.getvalue()
    assert "0/1" not in terminal.getvalue()


def test_ending_takes_the_line_away() -> None:
    clock, terminal = Clock(), Terminal()
    line = ProgressLine(terminal, clock=clock)
    line.begin("bf16")
    clock.now += 3
    line.update("sampling", 1, 10)
    shown = len(terminal.getvalue())
    line.end()
    erase_line = "\x1b[2K"
    assert erase_line in terminal.getvalue()[shown:]


@pytest.mark.parametrize(
    ("seconds", "said"), [(40.4, "40 s"), (100.0, "2 min"), (5000.0, "83 min"), (9000.0, "2.5 h")]
)
def test_durations_for_people(seconds: float, said: str) -> None:
    assert duration(seconds) == said
