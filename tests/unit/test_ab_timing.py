"""What gates and bisections say of their length."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from perfsuite.ab.session import Session
from perfsuite.ab.timing import BisectTimetable, GateTimetable, pace_of_gate, timetable
from perfsuite.results.ab import TierGate
from perfsuite.schedule.gates import GateShape
from perfsuite.schedule.paces import Assumptions, Pace, Paces, TierWork
from tests.unit.ab_samples import Opener, SilentLine, plan, tier


def measured(name: str, image_s: float) -> TierGate:
    """A tier whose every sample took so long, in both arms."""
    known = tier()
    block = known.blocks[0]
    samples = tuple(replace(each, seconds=image_s) for each in block.samples)
    return replace(known, tier=name, blocks=(replace(block, samples=samples),))


LADDER = (TierWork("fp32", False), TierWork("bf16", False))
SHAPE = GateShape(blocks=4, budget_s=60.0, fewest_pairs=6, most_pairs=400)


@dataclass
class Told:
    """A timetable with a clock that the test winds."""

    now: float = 0.0
    said: list[str] = field(default_factory=list)

    def table(self, **known: Pace) -> GateTimetable:
        paces = Paces(LADDER, Assumptions(0.0, 0.0, 0.0), known)
        return GateTimetable(("fp32", "bf16"), SHAPE, paces, 0.0, self.said.append, self._clock)

    def _clock(self) -> float:
        return self.now


def test_what_earlier_sessions_have_measured_tells_how_long_a_gate_takes() -> None:
    told = Told()
    told.table(fp32=Pace(10.0), bf16=Pace(5.0)).begin()
    assert told.said == ["up to 23 min for 2 tiers, by earlier sessions"]


def test_where_nothing_is_known_it_is_said_after_the_first_start() -> None:
    told = Told()
    table = told.table()
    table.begin()
    table.learn(measured("fp32", 5.0))
    assert told.said == [
        "2 tiers; how long they take is said after the first start",
        "fp32: 6 samples of each arm in each of up to 4 starts take 3 min more than --budget 60",
        "up to 18 min in all by fp32",
    ]


def test_a_budget_that_is_large_enough_is_not_mentioned() -> None:
    told = Told()
    told.table().learn(measured("fp32", 1.0))
    assert not any("--budget" in said for said in told.said)


def test_a_start_that_measured_nothing_tells_nothing() -> None:
    assert pace_of_gate(TierGate("fp32")) is None


def test_a_session_tells_its_timetable_of_every_tiers_first_start(tmp_path: Path) -> None:
    said: list[str] = []
    asked = plan(tmp_path, "fp32", "bf16")
    opener = Opener()
    Session(
        asked, opener, SilentLine(), opener.clock, timetable=timetable(asked, said.append)
    ).run()
    assert said[0] == "2 tiers; how long they take is said after the first start"
    assert said[1].startswith("up to ")
    assert said[1].endswith(" in all by fp32")


@pytest.mark.parametrize("known", [True, False])
def test_a_bisection_is_predicted_once_before_it_starts_or_after_its_first_gate(
    known: bool,
) -> None:
    told = Told()
    trial = told.table(fp32=Pace(1.0)) if known else told.table()
    table = BisectTimetable(trial, versions=9)
    table.begin()
    for _ in range(2):
        table.learn(measured("fp32", 1.0))
    assert told.said[-1].startswith("up to ")
    assert told.said[-1].endswith(" for 6 gates in all")
    assert len(told.said) == (1 if known else 2)
