"""The engine of the self-tests: numbered trials of one plan, each made once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from perfsuite.errors import OutputError
from perfsuite.progress import silent
from perfsuite.selftest.experiment import Experiment, Plan, Rate


@dataclass(frozen=True)
class DicePlan(Plan):
    """A self-test of dice."""

    sides: int


@dataclass(frozen=True)
class CardPlan(Plan):
    """A self-test of something else."""

    suits: int


@dataclass(frozen=True)
class Roll:
    """One trial."""

    schema: int
    number: int
    eyes: int


PLAN = DicePlan(1, sides=6)


class Table:
    """Makes trials and notes which; one of them may end it all."""

    def __init__(self, stops_at: int | None = None) -> None:
        self.made: list[int] = []
        self._stops_at = stops_at

    def roll(self, number: int) -> Roll:
        if number == self._stops_at:
            raise KeyboardInterrupt
        self.made.append(number)
        return Roll(1, number, number % 6 + 1)


def dice(folder: Path, plan: DicePlan = PLAN) -> Experiment[Roll]:
    return Experiment(folder, plan, Roll)


def test_every_trial_is_made_once_and_comes_back_in_order(tmp_path: Path) -> None:
    table = Table()
    rolls = dice(tmp_path).carry_out(12, table.roll, silent)
    assert table.made == list(range(12))
    assert [roll.number for roll in rolls] == list(range(12))
    assert dice(tmp_path).load() == rolls


def test_what_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    stopped = Table(stops_at=3)
    with pytest.raises(KeyboardInterrupt):
        dice(tmp_path).carry_out(5, stopped.roll, silent)
    assert [roll.number for roll in dice(tmp_path).load()] == [0, 1, 2]
    resumed = Table()
    rolls = dice(tmp_path).carry_out(5, resumed.roll, silent)
    assert resumed.made == [3, 4]
    assert [roll.number for roll in rolls] == [0, 1, 2, 3, 4]


def test_a_gap_is_filled(tmp_path: Path) -> None:
    experiment = dice(tmp_path)
    experiment.carry_out(4, Table().roll, silent)
    experiment.path(1).unlink()
    table = Table()
    assert len(experiment.carry_out(4, table.roll, silent)) == 4
    assert table.made == [1]


def test_more_trials_than_were_asked_for_are_all_reported(tmp_path: Path) -> None:
    dice(tmp_path).carry_out(4, Table().roll, silent)
    table = Table()
    assert len(dice(tmp_path).carry_out(2, table.roll, silent)) == 4
    assert table.made == []


def test_progress_is_told_before_each_trial_those_that_are_there_too(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    dice(tmp_path).carry_out(1, Table().roll, silent)
    dice(tmp_path).carry_out(2, Table().roll, lambda *step: told.append(step))
    assert told == [("trial", 0, 2), ("trial", 1, 2)]


def test_another_plan_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    dice(tmp_path).carry_out(2, Table().roll, silent)
    table = Table()
    with pytest.raises(OutputError, match="holds trials of another self-test") as refused:
        dice(tmp_path, replace(PLAN, sides=20)).carry_out(2, table.roll, silent)
    assert "delete the folder, or pass another with --out" in str(refused.value)
    assert table.made == []
    assert len(dice(tmp_path).load()) == 2


def test_a_plan_of_another_kind_is_refused(tmp_path: Path) -> None:
    dice(tmp_path).carry_out(1, Table().roll, silent)
    with pytest.raises(OutputError, match=r"plan\.json is not valid.*delete the folder"):
        Experiment(tmp_path, CardPlan(1, suits=4), Roll).carry_out(1, Table().roll, silent)


def test_trials_of_an_older_layout_are_refused(tmp_path: Path) -> None:
    dice(tmp_path).carry_out(1, Table().roll, silent)
    table = Table()
    with pytest.raises(OutputError, match="delete the folder, or pass another with --out"):
        dice(tmp_path, replace(PLAN, schema=2)).carry_out(1, table.roll, silent)
    assert table.made == []


def test_a_trial_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    experiment = dice(tmp_path)
    experiment.carry_out(2, Table().roll, silent)
    experiment.path(1).write_text('{"schema": 1')
    with pytest.raises(OutputError, match=r"trial-0001\.json is not valid.*makes it anew"):
        experiment.carry_out(2, Table().roll, silent)


def test_a_rate_knows_how_little_it_knows() -> None:
    assert Rate.of(0, 0) == Rate(0, 0, 0.0, 1.0)
    assert Rate.of(0, 0).share == 0.0
    half = Rate.of(5, 10)
    assert half.share == 0.5
    assert half.low < 0.5 < half.high
    more = Rate.of(500, 1000)
    assert half.low < more.low < 0.5 < more.high < half.high
