"""Methods in whole pytest sessions: what is not supported here is neither passed nor failed."""

from __future__ import annotations

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.ladder import needs, table
from perfsuite.results.session import load_record
from perfsuite.results.support_reasons import NeedsPackage
from perfsuite.results.verdict import Metric, Outcome

TESTS = """
    def test_images(perf_quality_verdict, perf_enforce):
        perf_enforce(perf_quality_verdict)
"""


@pytest.fixture
def project(
    pytester: pytest.Pytester, quick: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    monkeypatch.setattr(table, "_TIERS", dict(table._TIERS))
    pytester.makepyfile(TESTS)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_inprocess(
        "-m", "perf", "-rs", "--perf-checkpoint", "quick", *arguments
    )


def test_a_tier_that_is_not_supported_is_skipped_with_its_reason(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "is_installed", lambda package: False)
    result = run(project, "--perf-tiers", "fp32,deepcache", "--perf-strict")
    result.assert_outcomes(passed=1, skipped=1)
    said = result.stdout.str()
    why = "not supported here: DeepCache is not installed: pip install 'perfsuite[methods]'"
    assert why in said
    assert "deepcache" in said
    record = load_record(project.path / ".perfsuite" / "runs" / "latest.json")
    verdict = record.result("deepcache").verdict(Metric.LATENCY)
    assert verdict is not None
    assert verdict.outcome is Outcome.NOT_SUPPORTED
    assert verdict.reasons == (NeedsPackage("DeepCache", "methods"),)


def test_a_session_of_nothing_but_what_is_not_supported_is_no_success(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "is_installed", lambda package: False)
    result = run(project, "--perf-tiers", "deepcache")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "nothing was judged" in result.stdout.str()
