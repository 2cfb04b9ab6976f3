"""What a session says of its length, and what it leaves out where time is limited."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.plugin import timing
from perfsuite.plugin.timing import FIRST_IMAGE, Timetable, part_of
from perfsuite.progress import silent
from perfsuite.results.reasons import OutOfTime
from perfsuite.results.session import RunRecord, load_record
from perfsuite.results.verdict import Metric, Outcome
from perfsuite.schedule.forecast import Forecast, Sampling, ScoredImages
from perfsuite.schedule.paces import Assumptions, Pace, Paces, TierWork
from perfsuite.schedule.parts import Part

TESTS = """
    def test_latency(perf_latency_verdict, perf_enforce):
        perf_enforce(perf_latency_verdict)

    def test_images(perf_quality_verdict, perf_enforce):
        perf_enforce(perf_quality_verdict)
"""


UNKNOWN = Forecast(
    Paces((TierWork("fp32", False), TierWork("twin", False)), Assumptions(0.0, 0.0, 0.0)),
    Sampling(1.0, min_rounds=6, warm_images=2, probe_share=0.0),
    ScoredImages(10, 1.0),
    ScoredImages(4, 1.0),
)


@dataclass
class FakeItem:
    """A test, as far as a timetable looks at it."""

    nodeid: str
    part: Part


@dataclass
class FakeRun:
    """A session that takes notes."""

    siblings: list[Any] = field(default_factory=list)
    matrix_name: str | None = None
    predicted: list[float] = field(default_factory=list)

    def note_prediction(self, seconds: float) -> None:
        self.predicted.append(seconds)


LATENCY, IMAGES, EXACTNESS = (
    Part("fp32", Metric.LATENCY),
    Part("fp32", Metric.IMAGES),
    Part("twin", Metric.EXACTNESS),
)


def parts() -> list[Part]:
    return [LATENCY, IMAGES, EXACTNESS]


@dataclass
class Session:
    """A timetable with a clock that the test winds."""

    now: float = 0.0
    said: list[str] = field(default_factory=list)
    run: FakeRun = field(default_factory=FakeRun)

    def timetable(self, limit_s: float | None = None) -> Timetable:
        items: Any = [FakeItem(str(number), part) for number, part in enumerate(parts())]
        run: Any = self.run
        return Timetable(run, items, limit_s, self.said.append, lambda: self.now)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """Nothing is known: 8 images of latency, 10 of quality and 4 of exactness are to come."""
    monkeypatch.setattr(timing, "forecast_of", lambda run: UNKNOWN)
    monkeypatch.setattr(timing, "part_of", lambda item: item.part)
    return Session()


def know(monkeypatch: pytest.MonkeyPatch, image_s: float) -> None:
    """An earlier session has measured the tiers."""
    known = UNKNOWN.knowing("fp32", Pace(image_s))
    monkeypatch.setattr(timing, "forecast_of", lambda run: known)


def test_where_nothing_is_known_the_plan_says_when_it_will_be(session: Session) -> None:
    assert session.timetable().plan() == (
        "3 parts; how long they take is predicted after the first image"
    )


def test_earlier_sessions_tell_how_long_it_takes(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, 60.0)
    assert session.timetable().plan() == "about 22 min for 3 parts, by earlier sessions"
    assert session.run.predicted == [22 * 60.0]


def test_the_first_image_tells_how_long_the_rest_takes(session: Session) -> None:
    progress = session.timetable().noting(silent, LATENCY)
    progress(FIRST_IMAGE, 0, 12)
    session.now = 60.0
    progress("warm-up", 1, 12)
    progress("warm-up", 2, 12)
    assert session.said == ["about 23 min in all by fp32, 22 min to go"]
    assert session.run.predicted == [23 * 60.0]


def test_the_plan_says_what_there_is_no_time_for(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, 60.0)
    plan = session.timetable(limit_s=20 * 60).plan()
    assert plan == "about 18 min for 3 parts, by earlier sessions; no time for 1 of them"


def test_the_least_important_is_left_out_and_says_what_it_would_have_taken(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, 60.0)
    timetable = session.timetable(limit_s=20 * 60)
    latency, images, exactness = timetable.items
    assert timetable.left_out(latency) is None
    session.now = 8 * 60.0
    assert timetable.left_out(images) is None
    session.now = 18 * 60.0
    assert timetable.left_out(exactness) == OutOfTime(20 * 60, 18 * 60.0, 4 * 60.0)


def test_time_that_was_saved_brings_a_part_back(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, 60.0)
    timetable = session.timetable(limit_s=20 * 60)
    session.now = 10 * 60.0
    assert timetable.left_out(timetable.items[2]) is None


def test_nothing_is_left_out_while_nothing_is_known(session: Session) -> None:
    timetable = session.timetable(limit_s=1.0)
    assert [timetable.left_out(item) for item in timetable.items] == [None] * 3


# --- in whole sessions


def latest(project: pytest.Pytester) -> RunRecord:
    return load_record(project.path / ".perfsuite" / "runs" / "latest.json")


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    common = ("-m", "perf", "--perf-checkpoint", "quick", "--perf-tiers", "fp32")
    return project.runpytest_inprocess(*common, "--perf-budget", "0.2", *arguments)


@pytest.fixture
def project(pytester: pytest.Pytester, quick: Checkpoint) -> pytest.Pytester:
    pytester.makepyfile(TESTS)
    return pytester


def test_a_session_predicts_first_after_an_image_and_then_from_its_own_record(
    project: pytest.Pytester,
) -> None:
    run(project).stdout.fnmatch_lines(
        ["perfsuite: 2 parts; how long*", "perfsuite: about * in all by fp32, * to go"]
    )
    record = latest(project)
    assert record.predicted_s is not None
    assert record.took_s is not None
    assert record.took_s > 0
    run(project).stdout.fnmatch_lines(["perfsuite: about * for 2 parts, by earlier sessions"])


def test_what_there_was_no_time_for_is_not_measured_and_fails_where_all_must_be(
    project: pytest.Pytester,
) -> None:
    run(project)
    hurried = run(project, "--perf-time-limit", "0.001s", "-rs")
    hurried.assert_outcomes(skipped=2)
    assert hurried.ret == pytest.ExitCode.TESTS_FAILED  # nothing was judged
    hurried.stdout.fnmatch_lines(["0 judged, 0 recorded, 2 skipped (not measured *"])
    result = latest(project).tiers[0]
    assert {each.metric: each.outcome for each in result.verdicts} == {
        Metric.LATENCY: Outcome.NOT_MEASURED,
        Metric.IMAGES: Outcome.NOT_MEASURED,
    }
    assert isinstance(result.verdicts[0].reasons[0], OutOfTime)
    assert result.measurement is None
    strict = run(project, "--perf-time-limit", "0.001s", "--perf-strict")
    assert strict.ret == pytest.ExitCode.TESTS_FAILED
    strict.assert_outcomes(errors=2)


def test_a_test_is_part_of_what_its_fixtures_say(project: pytest.Pytester) -> None:
    items, _ = project.inline_genitems("-m", "perf", "--perf-tiers", "fp32")
    assert [part_of(item) for item in items] == [LATENCY, IMAGES]
