"""What a session leaves for people: its page, and a comment."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.page.publish import SUMMARY_VARIABLE
from perfsuite.results.session import RunRecord, load_record
from perfsuite.results.verdict import Metric

TESTS = """
    def test_images(perf_quality_verdict, perf_enforce):
        perf_enforce(perf_quality_verdict)
"""
QUICK = ("-m", "perf", "--perf-checkpoint", "quick", "--perf-tiers", "fp32")


@pytest.fixture
def project(pytester: pytest.Pytester, quick: Checkpoint) -> pytest.Pytester:
    pytester.makepyfile(TESTS)
    return pytester


def latest(project: pytest.Pytester) -> RunRecord:
    return load_record(project.path / ".perfsuite" / "runs" / "latest.json")


def test_a_session_leaves_its_page_and_its_comment(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = project.path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv(SUMMARY_VARIABLE, str(summary))
    result = project.runpytest_inprocess(*QUICK, "--perf-markdown", "night.md")
    result.assert_outcomes(passed=1)
    record = latest(project)
    page = Path(".perfsuite", "runs", f"{record.run_id}.html")
    result.stdout.fnmatch_lines([f"page: *{page}"])
    text = page.read_text(encoding="utf-8")
    assert "One tier passed." in text
    assert text.count("url(&#34;data:") + text.count('url("data:') == 3
    assert record.command is not None
    assert record.command.startswith("pytest ")
    assert "--perf-markdown night.md" in record.command
    comment = Path("night.md").read_text(encoding="utf-8")
    assert comment.startswith("### ✅ One tier passed.")
    assert summary.read_text(encoding="utf-8") == f"before\n{comment}"
    verdict = record.result("fp32").verdict(Metric.IMAGES)
    assert verdict is not None
    assert verdict.images is not None
    assert verdict.images.sheets is not None
    assert (page.parent / verdict.images.sheets.images).is_file()


def test_a_page_that_cannot_be_written_changes_no_verdict(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfsuite.page.render.write_page", lambda *given: 1 / 0)
    monkeypatch.setattr("perfsuite.page.publish.session_comment", lambda *given: 1 / 0)
    result = project.runpytest_inprocess(*QUICK, "--perf-markdown", "night.md")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["warning: no page (ZeroDivisionError*", "warning: no Markdown *"])


def test_a_place_that_cannot_be_written_stops_before_anything_is_measured(
    project: pytest.Pytester,
) -> None:
    result = project.runpytest_inprocess(*QUICK, "--perf-report", str(project.path))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "it is no file" in "".join(result.errlines)
