"""A gate counts both arms before it samples either, and says what differs first."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.ab.session import Session
from perfsuite.bisect.session import read_trial
from perfsuite.report.ab import structure_lines, verdict_text
from perfsuite.results.ab import Answer, Arm, GateRecord, load_gate
from perfsuite.results.bisection import Answer as TrialAnswer
from perfsuite.results.bisection import Question
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.workers.protocol import Counts, Hello
from tests.unit.ab_samples import Opener, SilentLine, plan
from tests.unit.counted import with_calls
from tests.unit.fake_worker import FakeWorker

MORE = Counts(with_calls({"vae.decoder.conv_in": {"aten.convolution": 2}}))


class Counting(Opener):
    """Arms of which the treatment counts what it is told to."""

    treated = MORE
    versions = ("2.13.0", "2.14.1")

    def __call__(self, name: Arm, tier: str) -> FakeWorker:
        arm = super().__call__(name, tier)
        version = self.versions[name is Arm.TREATMENT]
        arm.hello = Hello("", "", "3.11.0", {"torch": version})
        if name is Arm.TREATMENT:
            arm.counts = self.treated
        return arm


def run(out: Path, opener: Opener, told: list[str] | None = None) -> GateRecord:
    told = [] if told is None else told

    def tell(tier: object) -> None:
        opener.events.append("told")
        told.extend(structure_lines(tier))  # type: ignore[arg-type]

    return Session(plan(out), opener, SilentLine(), opener.clock, tell=tell).run()


def structure_of(record: GateRecord) -> Verdict:
    (found,) = [e for e in record.tiers[0].verdicts if e.metric is Metric.STRUCTURE]
    return found


def test_the_cause_is_said_before_the_first_sample(tmp_path: Path) -> None:
    opener, told = Counting(), list[str]()
    run(tmp_path, opener, told)
    assert opener.events.index("told") < opener.events.index("control begin")
    assert opener.events.index("told") < opener.events.index("control turn")
    assert told == [
        "bf16: 1 more operator (11 before, 12 now): +1 aten.convolution in vae.decoder.conv_in"
    ]


def test_arms_are_counted_once(tmp_path: Path) -> None:
    opener = Counting()
    run(tmp_path, opener)
    assert opener.events.count("control count") == opener.events.count("told") == 1


def test_equal_arms_are_said_to_be_equal(tmp_path: Path) -> None:
    told: list[str] = []
    assert structure_of(run(tmp_path, Opener(), told)).outcome is Outcome.PASSED
    assert told == ["bf16: both arms ask the same of torch"]


def test_between_versions_a_difference_is_for_review(tmp_path: Path) -> None:
    record = run(tmp_path, Counting())
    assert structure_of(record).outcome is Outcome.PASSED
    assert record.answer is Answer.PASSED


def test_within_the_same_versions_it_fails(tmp_path: Path) -> None:
    opener = Counting()
    opener.versions = ("2.13.0", "2.13.0")
    record = run(tmp_path, opener)
    assert record.answer is Answer.REGRESSED
    assert verdict_text(record.tiers[0]) == "structure"


def test_libraries_that_do_not_let_it_be_counted_are_no_pass_and_no_fault(tmp_path: Path) -> None:
    opener = Counting()
    opener.treated = Counts(None, "AttributeError: no post_compile")
    told: list[str] = []
    record = run(tmp_path, opener, told)
    assert structure_of(record).outcome is Outcome.NOT_SUPPORTED
    assert told == [
        "bf16: not counted, the treatment's libraries do not let it: "
        "AttributeError: no post_compile"
    ]
    assert record.answer is Answer.PASSED


def test_both_counts_are_in_the_record(tmp_path: Path) -> None:
    record = run(tmp_path, Counting())
    (tier,) = load_gate(tmp_path / "gates" / f"{record.gate_id}.json").tiers
    assert tier.treatment_counters == MORE.counters
    assert tier.control_counters == FakeWorker(Arm.CONTROL).counts.counters


@pytest.mark.parametrize(
    ("opener", "answer"), [(Counting(), TrialAnswer.BAD), (Opener(), TrialAnswer.GOOD)]
)
def test_a_bisection_looks_for_the_difference(
    tmp_path: Path, opener: Opener, answer: TrialAnswer
) -> None:
    (tier,) = run(tmp_path, opener).tiers
    assert read_trial(tier, Question.STRUCTURE, "2", "1").answer is answer
