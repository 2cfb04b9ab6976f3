"""A bisection's order of events, with environments and gates played by fakes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from perfsuite.bisect.session import BisectSession, Candidate, halfway, read_trial, regression_of
from perfsuite.environments.spec import Requirements, Spec
from perfsuite.errors import EnvironmentBroken, GateError, WorkerFailed
from perfsuite.judge.ab import judge_tier
from perfsuite.report.bisect import trial_line
from perfsuite.results.ab import Arm, Failure, TierGate
from perfsuite.results.bisection import (
    Answer,
    Bisected,
    BisectRecord,
    Question,
    Trial,
    bisection_path,
)
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.policy import PairedPolicy
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.storage import read_json
from tests.unit.ab_samples import damage, gate_record, tier
from tests.unit.samples import environment

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6")


class FakeGate:
    """Versions that are slower from one on; each costs what it says.

    Args:
        costs: latency by version, the good one's being 1.
        broken: versions that do not install.
        failing: versions that do not build.
        dying: versions whose worker dies.
        raising: what measuring a version raises instead.
    """

    def __init__(
        self,
        costs: dict[str, float],
        broken: tuple[str, ...] = (),
        failing: tuple[str, ...] = (),
        dying: tuple[str, ...] = (),
        raising: dict[str, BaseException] | None = None,
    ) -> None:
        self.costs = costs
        self.broken, self.failing, self.dying = broken, failing, dying
        self.raising = raising or {}
        self.provided: list[str] = []
        self.measured: list[tuple[str, str, float | None]] = []
        self.told: list[Trial] = []

    def provide(self, spec: Spec) -> Path:
        assert isinstance(spec, Requirements)
        version = spec.packages[0].partition("==")[2]
        self.provided.append(version)
        if version in self.broken:
            raise EnvironmentBroken(f"pip cannot install {version}", hint="")
        return Path(version)

    def measure(
        self, control: Candidate, treatment: Candidate, tolerance: float | None
    ) -> tuple[TierGate, str]:
        self.measured.append((treatment.version, control.version, tolerance))
        if treatment.version in self.raising:
            raise self.raising[treatment.version]
        known = TierGate("bf16")
        if treatment.version in self.failing:
            return replace(known, failure=Failure(Arm.TREATMENT, "bad graph", True)), "gate"
        if treatment.version in self.dying:
            return replace(known, failure=Failure(None, "a worker died")), "gate"
        policy = PairedPolicy(tolerance=tolerance or 0.05)
        measured = tier(self.costs[treatment.version] / self.costs[control.version])
        return replace(measured, verdicts=judge_tier(measured, policy)), "gate"

    def session(self, out: Path) -> BisectSession:
        record = BisectRecord(
            SCHEMA,
            "20261124T030000Z-0000",
            environment(),
            "pocket",
            "bf16",
            Question.LATENCY,
            "tiny",
            "tiny==1.0",
            "tiny==1.6",
            VERSIONS,
        )
        good, bad = (Candidate(each, f"tiny=={each}", Path(each)) for each in ("1.0", "1.6"))
        template = Requirements(("tiny==1.6",), ("--pre",))
        return BisectSession(
            record, good, bad, template, self.provide, self.measure, self.told.append, out
        )


def slower_from(first: str, by: float = 0.2) -> dict[str, float]:
    return {version: 1 + by * (version >= first) for version in VERSIONS}


@pytest.mark.parametrize("first", VERSIONS[1:])
def test_the_first_slow_version_is_found_and_measured_against_the_last_fast_one(
    tmp_path: Path, first: str
) -> None:
    gate = FakeGate(slower_from(first))
    done = gate.session(tmp_path).run()
    before = VERSIONS[VERSIONS.index(first) - 1]
    assert done.result == Bisected(before, first)
    assert done.final is not None
    assert (done.final.version, done.final.against) == (first, before)
    assert done.final.verdict is not None
    assert done.final.verdict.change == pytest.approx(0.2)
    assert done.final.verdict.change_interval is not None
    kept = read_json(
        bisection_path(done.bisect_id, tmp_path),
        BisectRecord,
        schema=SCHEMA,
        error=GateError,
        hint="",
    )
    assert kept == done


def test_both_ends_are_confirmed_before_anything_else(tmp_path: Path) -> None:
    gate = FakeGate(slower_from("1.3"))
    done = gate.session(tmp_path).run()
    assert gate.measured[:2] == [("1.0", "1.0", None), ("1.6", "1.0", None)]
    assert [each.answer for each in done.trials[:2]] == [Answer.GOOD, Answer.BAD]
    assert list(done.trials) == gate.told


def test_versions_between_are_held_to_half_of_the_change(tmp_path: Path) -> None:
    gate = FakeGate(slower_from("1.3"))
    gate.session(tmp_path).run()
    half = math.sqrt(1.2) - 1
    assert all(tolerance == pytest.approx(half) for _, _, tolerance in gate.measured[2:])


def test_an_end_that_is_not_worse_ends_it(tmp_path: Path) -> None:
    gate = FakeGate(dict.fromkeys(VERSIONS, 1.0))
    done = gate.session(tmp_path).run()
    assert done.result is None
    assert done.stopped == "the bad end is not worse than the good one (passed)"
    assert len(gate.measured) == 2


def test_what_does_not_install_is_left_for_a_neighbour(tmp_path: Path) -> None:
    gate = FakeGate(slower_from("1.4"), broken=("1.3",))
    done = gate.session(tmp_path).run()
    assert done.result == Bisected("1.2", "1.4", ("1.3",))
    skipped = next(each for each in done.trials if each.version == "1.3")
    assert skipped.answer is Answer.UNKNOWN
    assert skipped.note == "skipped: pip cannot install 1.3"


@pytest.mark.parametrize("how", ["failing", "dying"])
def test_what_does_not_run_says_nothing_of_being_slow(tmp_path: Path, how: str) -> None:
    gate = FakeGate(slower_from("1.4"))
    setattr(gate, how, ("1.3",))
    done = gate.session(tmp_path).run()
    assert done.result == Bisected("1.2", "1.4", ("1.3",))


def test_a_version_that_breaks_the_session_is_left_for_a_neighbour(tmp_path: Path) -> None:
    broken = EnvironmentBroken("perfsuite cannot be imported there", hint="")
    gate = FakeGate(slower_from("1.4"), raising={"1.3": broken})
    assert gate.session(tmp_path).run().result == Bisected("1.2", "1.4", ("1.3",))


def test_since_when_it_does_not_build_can_be_asked_too(tmp_path: Path) -> None:
    gate = FakeGate(dict.fromkeys(VERSIONS, 1.0), failing=("1.4", "1.5", "1.6"))
    done = gate.session(tmp_path).run()
    assert done.result == Bisected("1.3", "1.4")
    assert done.final is not None
    assert done.final.note == "bad graph"


def test_an_end_that_cannot_be_measured_is_an_error(tmp_path: Path) -> None:
    gate = FakeGate(dict.fromkeys(VERSIONS, 1.0), dying=("1.6",))
    with pytest.raises(GateError, match="a worker died"):
        gate.session(tmp_path).run()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), WorkerFailed("it hung", hint="")])
def test_what_is_known_is_kept_when_it_is_stopped(tmp_path: Path, error: BaseException) -> None:
    gate = FakeGate(slower_from("1.3"), raising={"1.6": error})
    session = gate.session(tmp_path)
    with pytest.raises(type(error)):
        session.run()
    path = bisection_path(session.record.bisect_id, tmp_path)
    kept = read_json(path, BisectRecord, schema=SCHEMA, error=GateError, hint="")
    assert [each.version for each in kept.trials] == ["1.0"]
    assert kept.stopped


def test_images_are_as_bad_as_the_graver_of_their_two_verdicts() -> None:
    verdicts = (
        Verdict(Metric.LATENCY, Outcome.REGRESSED),
        Verdict(Metric.IMAGES, Outcome.PASSED, measured=0.99),
        Verdict(Metric.SAME_IMAGES, Outcome.REGRESSED, (damage(0.5),), measured=0.5),
    )
    trial = read_trial(TierGate("bf16", verdicts=verdicts), Question.QUALITY, "2", "1")
    assert trial.answer is Answer.BAD
    assert trial.verdict is verdicts[2]
    assert "worst SSIM 0.50000 below 0.95000" in trial_line(trial)
    assert halfway(trial) is None


def test_what_was_not_judged_is_no_answer() -> None:
    trial = read_trial(TierGate("bf16"), Question.COMPILE, "2", "1")
    assert trial.answer is Answer.UNKNOWN
    assert trial.note == "bf16 has no compile to judge"


@pytest.mark.parametrize(
    ("metric", "question"),
    [
        (Metric.LATENCY, Question.LATENCY),
        (Metric.SAME_IMAGES, Question.QUALITY),
        (Metric.WARM_COMPILE, Question.COMPILE),
        (Metric.GRAPH_BREAKS, Question.GRAPH_BREAKS),
    ],
)
def test_a_gates_record_tells_what_to_ask(metric: Metric, question: Question) -> None:
    good = TierGate("fp32", verdicts=(Verdict(metric, Outcome.PASSED),))
    bad = TierGate("bf16", verdicts=(Verdict(metric, Outcome.REGRESSED),))
    gate = gate_record(good, bad)
    assert regression_of(gate, None) == ("bf16", question)
    assert regression_of(gate, "fp32") is None


def test_memory_cannot_be_bisected() -> None:
    bad = TierGate("bf16", verdicts=(Verdict(Metric.MEMORY, Outcome.REGRESSED),))
    assert regression_of(gate_record(bad), None) is None
