"""Sessions and commands whose folders lie behind a URL."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner

from perfsuite.checkpoints import Checkpoint
from perfsuite.cli import main

TESTS = """
    def test_latency(perf_latency_verdict, perf_enforce):
        perf_enforce(perf_latency_verdict)

    def test_images(perf_quality_verdict, perf_enforce):
        perf_enforce(perf_quality_verdict)
"""
MEDDLING = """
    import fsspec

    def test_meddle(perf_run):
        '''Somebody else records first.'''
        system, root = fsspec.core.url_to_fs(perf_run.settings.mirrors[0].url)
        system.pipe_file(root + "/first-baselines.json", b"theirs")
"""


@pytest.fixture
def url() -> Iterator[str]:
    yield f"memory://{uuid.uuid4().hex}/perf"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def project(pytester: pytest.Pytester, quick: Checkpoint) -> pytest.Pytester:
    pytester.makepyfile(TESTS)
    return pytester


def run(project: pytest.Pytester, url: str, *arguments: str) -> pytest.RunResult:
    common = ("-m", "perf", "--perf-checkpoint", "quick", "--perf-tiers", "fp32")
    limits = ("--perf-budget", "0.2", "--perf-tolerance", "1")
    return project.runpytest_inprocess(*common, *limits, "--perf-out", url, *arguments)


def there(url: str) -> dict[str, bytes]:
    system, root = fsspec.core.url_to_fs(url)
    found = system.find(root) if system.exists(root) else []
    return {path[len(root) :].lstrip("/"): system.cat_file(path) for path in found}


def test_a_fresh_machine_compares_with_what_the_last_one_has_sent(
    project: pytest.Pytester, url: str
) -> None:
    run(project, url, "-rs").assert_outcomes(passed=1, skipped=1)
    sent = there(url)
    assert any(path.startswith("baselines/") for path in sent)
    assert any(path.endswith("manifest.json") for path in sent)
    shutil.rmtree(project.path / ".perfsuite")
    run(project, url).assert_outcomes(passed=2)
    assert len([path for path in there(url) if path.startswith("runs/20")]) > 1


def test_what_somebody_else_recorded_meanwhile_stays_and_the_session_says_so(
    project: pytest.Pytester, url: str
) -> None:
    project.makepyfile(test_meddle=MEDDLING)
    result = run(project, url)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["ERROR: *was changed by somebody else meanwhile*conflict*"])
    assert there(url)["first-baselines.json"] == b"theirs"


def test_a_url_that_cannot_be_reached_is_one_line_before_any_weight_is_loaded(
    project: pytest.Pytester,
) -> None:
    result = run(project, "nowhere://perf")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: nowhere://perf cannot be reached*"])


def test_a_command_sends_what_it_has_made(
    quick: Checkpoint, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(main, ["record-references", "quick", "--baselines", url])
    assert made.exit_code == 0, made.output
    assert any(path.endswith("references/quick/manifest.json") for path in there(url))
