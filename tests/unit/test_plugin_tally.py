"""What counts as judged, and what a session ends with when nothing does."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.plugin import words
from perfsuite.plugin.tally import Ending, count
from perfsuite.results.session import load_record
from perfsuite.results.verdict import Outcome

TESTS = """
    import pytest

    @pytest.mark.perf
    def test_latency(perf_latency_verdict, perf_enforce):
        perf_enforce(perf_latency_verdict)

    @pytest.mark.perf
    def test_images(perf_quality_verdict, perf_enforce):
        perf_enforce(perf_quality_verdict)
"""
LATENCY = (
    *("-m", "perf", "--perf-checkpoint=quick", "--perf-budget=0.2", "--perf-tiers=fp32"),
    "--perf-only=latency",
)


def ended(*outcomes: Outcome, **more: object) -> Ending:
    return Ending(has_verdict=True, outcomes=list(outcomes), ended=True, **more)  # type: ignore[arg-type]


def test_judged_recorded_and_skipped_are_counted_with_their_reasons() -> None:
    counts = count(
        [
            ended(Outcome.PASSED),
            ended(Outcome.REGRESSED),
            ended(Outcome.IMPROVED),
            ended(Outcome.RECORDED),
            ended(Outcome.INVALID),
            ended(Outcome.INVALID),
            ended(Outcome.NO_BASELINE),
            ended(stopped="error"),
            Ending(has_verdict=True),
        ]
    )
    assert str(counts) == (
        "3 judged, 1 recorded, 5 skipped (invalid \N{MULTIPLICATION SIGN} 2, "
        "no baseline \N{MULTIPLICATION SIGN} 1, error \N{MULTIPLICATION SIGN} 1, "
        "did not run to its end \N{MULTIPLICATION SIGN} 1)"
    )
    assert not counts.is_empty


def test_one_verdict_of_two_that_is_none_makes_the_test_unjudged() -> None:
    assert ended(Outcome.PASSED, Outcome.INCONCLUSIVE).missing == "inconclusive"


def test_a_test_without_a_verdicts_fixture_is_judged_by_its_own_assertions() -> None:
    assert Ending(has_verdict=False, ended=True).missing is None
    assert Ending(has_verdict=False, stopped="too warm", ended=True).missing == "too warm"


@pytest.mark.parametrize(
    "tested",
    [ended(Outcome.INVALID), ended(Outcome.NO_BASELINE), ended(stopped="error"), ended()],
    ids=["invalid", "no baseline", "error", "no verdict"],
)
def test_nothing_judged_is_nothing(tested: Ending) -> None:
    assert count([tested]).is_empty


def test_values_that_are_words_are_joined_to_their_options() -> None:
    given = ["-x", "--perf-out", "../x", "--perf-update", "--perf-strict", "tests", "--perf-update"]
    assert words.joined(given) == ["-x", "--perf-out=../x", *given[3:]]
    assert words.joined(["--perf-update", "add", "add"]) == ["--perf-update=add", "add"]


def test_only_a_value_that_exists_is_mistaken_for_a_path(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    assert words.mistaken_for_paths(["--perf-checkpoint", "x"], tmp_path)
    for harmless in (
        ["--perf-checkpoint", "y"],
        ["--perf-checkpoint=x"],
        ["--perf-strict", "x"],
        ["-k", "x"],
    ):
        assert not words.mistaken_for_paths(harmless, tmp_path)


@pytest.fixture
def project(pytester: pytest.Pytester, quick: Checkpoint) -> pytest.Pytester:
    pytester.makepyfile(TESTS)
    return pytester


def test_a_session_that_judges_nothing_does_not_end_as_if_it_had(
    project: pytest.Pytester,
) -> None:
    result = project.runpytest_inprocess(*LATENCY, "--perf-missing=skip")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["skipped"] == 1
    result.stdout.fnmatch_lines(
        [
            "ERROR: nothing was judged",
            "0 judged, 0 recorded, 1 skipped (no baseline \N{MULTIPLICATION SIGN} 1)",
        ]
    )


def test_where_ci_is_true_a_missing_baseline_fails_unless_it_is_recorded(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    skip = (*LATENCY, "--perf-missing=skip")
    assert project.runpytest_inprocess(*skip).parseoutcomes()["failed"] == 1
    assert project.runpytest_inprocess(*skip, "--no-perf-strict").parseoutcomes()["skipped"] == 1
    first = project.runpytest_inprocess(*LATENCY)
    assert first.ret == pytest.ExitCode.OK
    first.stdout.fnmatch_lines(["0 judged, 1 recorded, 0 skipped"])


def test_a_baseline_that_lacks_a_tier_is_missing_too(project: pytest.Pytester) -> None:
    project.runpytest_inprocess(*LATENCY)
    every = ("--perf-tiers=fp32,bf16", "--perf-missing=fail")
    result = project.runpytest_inprocess(*LATENCY, *every)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: no baseline for bf16 of *quick.json*--perf-tiers bf16*"])
    result = project.runpytest_inprocess(*LATENCY, *every, "-k", "fp32", "--collect-only")
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize("how", ["-x", "--maxfail=1", "--stepwise"])
def test_a_record_of_a_session_cut_short_is_not_complete(
    project: pytest.Pytester, how: str
) -> None:
    failing = TESTS.replace("perf_enforce(perf_latency_verdict)", "assert False")
    project.makepyfile(test_0_first=failing)
    result = project.runpytest_inprocess(*LATENCY, how)
    assert result.ret != pytest.ExitCode.OK
    record = load_record(project.path / ".perfsuite" / "runs" / "latest.json")
    assert record.result("fp32").measurement is not None
    assert not record.complete
    result.stdout.fnmatch_lines(["*did not run to its end*"])


def test_a_timeout_leaves_the_record_incomplete_and_named(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite.session import run

    def never(*arguments: object, **options: object) -> object:
        pytest.fail("Timeout (>1.0s) from pytest-timeout.")

    monkeypatch.setattr(run, "build_tier", never)
    project.runpytest_inprocess(*LATENCY)
    record = load_record(project.path / ".perfsuite" / "runs" / "latest.json")
    assert not record.complete
    assert "Timeout" in (record.result("fp32").error or "")
