"""Workloads chosen in whole pytest sessions, on the real pocket pipeline with one step."""

from __future__ import annotations

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.results.session import RunRecord, load_record
from perfsuite.results.verdict import Metric

TESTS = """
    import pytest

    @pytest.mark.perf
    def test_latency(perf_latency_verdict, perf_enforce):
        perf_enforce(perf_latency_verdict)

    @pytest.mark.perf
    def test_images(perf_quality_verdict, perf_enforce):
        perf_enforce(perf_quality_verdict)
"""
TABLE = '[tool.perfsuite.workloads.wide]\nsize = "80x64"\nsteps = 1\n'
QUICK = ("-m", "perf", "--perf-checkpoint=quick", "--perf-tiers=fp32", "--perf-budget=0.2", "-v")


@pytest.fixture
def project(pytester: pytest.Pytester, quick: Checkpoint) -> pytest.Pytester:
    pytester.makepyfile(TESTS)
    pytester.makepyprojecttoml(TABLE)
    return pytester


def latest(project: pytest.Pytester) -> RunRecord:
    return load_record(project.path / ".perfsuite" / "runs" / "latest.json")


def test_every_workload_of_a_matrix_is_measured_and_judged_beside_the_others(
    project: pytest.Pytester,
) -> None:
    result = project.runpytest_inprocess(*QUICK, "--perf-workload", "default,wide")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines_random(
        [
            "*test_latency?fp32-default? SKIPPED*",
            "*test_images?fp32-wide? PASSED*",
            "fp32-default *recorded",
            "fp32-wide *recorded",
        ]
    )
    record = latest(project)
    assert record.complete
    assert {each.label for each in record.tiers} == {"fp32-default", "fp32-wide"}
    assert all(
        each.verdict(metric) is not None
        for each in record.tiers
        for metric in (Metric.LATENCY, Metric.IMAGES)
    )
    folder = project.path / ".perfsuite"
    assert {path.name for path in folder.glob("baselines/*/*.json")} == {
        "quick.json",
        "quick--wide.json",
    }
    assert {path.name for path in folder.glob("references/*/[!.]*")} == {"quick", "quick--wide"}


def test_one_workload_leaves_ids_as_they_are_and_has_baselines_of_its_own(
    project: pytest.Pytester,
) -> None:
    arguments = (*QUICK, "--perf-only=latency", "--perf-size=80x64", "--perf-batch=2")
    project.runpytest_inprocess(*arguments).assert_outcomes(skipped=1, deselected=1)
    again = project.runpytest_inprocess(*arguments)
    again.stdout.fnmatch_lines(["*test_latency?fp32? *"])
    record = latest(project)
    (result,) = record.tiers
    latency = result.verdict(Metric.LATENCY)
    assert latency is not None
    assert latency.change is not None
    assert result.latency_workload is not None
    assert (result.latency_workload.width, result.latency_workload.batch_size) == (80, 2)
    (path,) = (project.path / ".perfsuite" / "baselines").glob("*/*.json")
    assert path.name == f"quick--{record.latency_workload.digest}.json"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--perf-size", "80x60"), "--perf-size cannot be '80x60': it takes WIDTHxHEIGHT"),
        (("--perf-workload", "narrow"), "unknown workload 'narrow': --perf-workload takes default"),
        (("--perf-steps", "some"), "--perf-steps cannot be 'some': it takes a whole number"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_measured(
    project: pytest.Pytester, arguments: tuple[str, ...], said: str
) -> None:
    result = project.runpytest_inprocess(*QUICK, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{said}*"])
