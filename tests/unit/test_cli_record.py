"""The command `record`: pytest is asked for real what it would use; its runs are played."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from perfsuite.cli import record as cli_record
from perfsuite.cli.commands import main
from perfsuite.cli.record import Folders
from perfsuite.results.reasons import Note
from perfsuite.results.session import RunRecord, TierResult, save_record
from perfsuite.results.verdict import Metric, Outcome
from tests.unit.samples import latency_verdict
from tests.unit.samples import record as run_record

BEFORE = '{"kept": 1}'


class PlayedRuns:
    """Runs of pytest that write a record and a baseline, as they are told to end.

    Args:
        ends: by the number of the run, what becomes of its record, or pytest's exit code.
    """

    def __init__(self, **ends: Callable[[RunRecord], RunRecord] | int) -> None:
        self.ends = ends
        self.commands: list[list[str]] = []
        self.during: Callable[[], None] = lambda: None

    def __call__(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        number = len(self.commands)
        given = dict(
            word.split("=", 1) for word in command if word.startswith("--perf-") and "=" in word
        )
        end = self.ends.get(f"run_{number}", as_it_is)
        if isinstance(end, int):
            return subprocess.CompletedProcess(command, end)
        record = end(replace(recorded(), run_id=f"run-{number}"))
        path = save_record(record, Path(".perfsuite"))
        if record.tiers or not record.complete:
            Path(options["env"]["PERFSUITE_RECORD_MADE"]).write_text(str(path))
        baseline = Path(given["--perf-baselines"], "cpu", "pocket.json")
        baseline.parent.mkdir(parents=True, exist_ok=True)
        before = baseline.read_text() if baseline.exists() else ""
        add = given["--perf-update"] == "add"
        baseline.write_text(f"{before if add else ''}[{number}]")
        self.during()
        # A session in which nothing was judged or recorded ends with 1.
        return subprocess.CompletedProcess(command, 1 if end is invalid else 0)


def as_it_is(record: RunRecord) -> RunRecord:
    return record


def recorded() -> RunRecord:
    verdict = latency_verdict(Outcome.RECORDED)
    return replace(run_record(TierResult("fp32", verdicts=(verdict,))), complete=True)


def invalid(record: RunRecord) -> RunRecord:
    (tier,) = record.tiers
    latency = tier.verdict(Metric.LATENCY)
    assert latency is not None
    busy = replace(latency, outcome=Outcome.INVALID, reasons=(Note("1.9 other cores were busy"),))
    return replace(record, tiers=(tier.with_verdict(busy),))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a baseline of two checkpoints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    for name in ("pocket", "other"):
        path = tmp_path / "baselines" / "cpu" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(BEFORE)
    folders = Folders(
        tmp_path / "baselines", tmp_path / ".perfsuite", (), str(tmp_path / "h.sqlite")
    )
    monkeypatch.setattr(cli_record, "_asked_of_pytest", lambda arguments: folders)
    return tmp_path


def record(monkeypatch: pytest.MonkeyPatch, runs: PlayedRuns, *arguments: str) -> Result:
    monkeypatch.setattr(subprocess, "run", runs)
    return CliRunner().invoke(main, ["record", "--runs", "3", *arguments])


def kept(project: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in (project / "baselines").rglob("*.json")}


def test_runs_replace_the_baseline_together(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = PlayedRuns()
    seen: list[str] = []
    runs.during = lambda: seen.append(kept(project)["pocket"])
    result = record(monkeypatch, runs, "--perf-tiers", "fp32")
    assert result.exit_code == 0, result.output
    assert seen == [BEFORE] * 3
    assert kept(project) == {"pocket": "[1][2][3]", "other": BEFORE}
    assert "pocket.json, 3 runs" in result.output
    assert all(each[-6:-4] == ["--perf-tiers", "fp32"] for each in runs.commands)
    updates = [each[-4] for each in runs.commands]
    assert updates == ["--perf-update=replace", "--perf-update=add", "--perf-update=add"]
    history = f"--perf-history={project / 'h.sqlite'}"
    assert {each[-1] for each in runs.commands} == {history}
    assert len(list((project / ".perfsuite" / "runs").glob("run-*.json"))) == 3
    assert [path.name for path in (project / ".perfsuite").iterdir()] == ["runs"]


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ({"run_1": invalid}, "run 1 of 3 is invalid in fp32 (1.9 other cores were busy)"),
        ({"run_2": invalid}, "run 2 of 3 is invalid in fp32"),
        ({"run_3": invalid}, "run 3 of 3 is invalid in fp32"),
        ({"run_2": 1}, "run 2 of 3 ended with pytest's exit code 1"),
        ({"run_2": 5}, "run 2 of 3 ended with pytest's exit code 5"),
        ({"run_2": lambda record: replace(record, complete=False)}, "run 2 of 3 was cut short"),
        ({"run_3": lambda record: replace(record, tiers=())}, "run 3 of 3 measured nothing"),
    ],
)
def test_no_run_is_kept_unless_all_are_valid(
    project: Path, monkeypatch: pytest.MonkeyPatch, ends: dict[str, Any], said: str
) -> None:
    result = record(monkeypatch, PlayedRuns(**ends))
    assert result.exit_code == 1
    assert said in result.output
    assert "no run is kept, the baseline is as it was" in result.output
    assert kept(project) == {"pocket": BEFORE, "other": BEFORE}


def test_ctrl_c_keeps_no_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = PlayedRuns()

    def interrupted() -> None:
        if len(runs.commands) == 2:
            raise KeyboardInterrupt

    runs.during = interrupted
    assert record(monkeypatch, runs).exit_code == 130
    assert kept(project) == {"pocket": BEFORE, "other": BEFORE}
    assert not list((project / ".perfsuite").glob("recording-*"))


def test_what_another_session_has_changed_meanwhile_is_not_overwritten(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = PlayedRuns()
    path = project / "baselines" / "cpu" / "pocket.json"

    def change() -> None:
        path.write_text("theirs")

    runs.during = change
    result = record(monkeypatch, runs)
    assert result.exit_code == 2
    assert "pocket.json has changed meanwhile" in " ".join(result.output.split())
    assert path.read_text() == "theirs"


def test_folders_are_checked_before_the_first_run(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "file").touch()
    folders = Folders(project / "file", project / ".perfsuite")
    monkeypatch.setattr(cli_record, "_asked_of_pytest", lambda arguments: folders)
    runs = PlayedRuns()
    assert record(monkeypatch, runs).exit_code == 2
    assert runs.commands == []


def test_pytest_is_asked_which_folders_it_would_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its root is not always the working directory, and an option wins over the table."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\n[tool.perfsuite]\nout = "records"\nbaselines = "b"\n'
    )
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    asked = cli_record._asked_of_pytest(("--perf-baselines", "theirs"))
    history = str(tmp_path / "records" / "history.sqlite")
    assert asked == Folders(tmp_path / "theirs", tmp_path / "records", (), history)
    result = CliRunner().invoke(main, ["record", "--perf-budget", "much"])
    assert result.exit_code == 2
    assert "pytest does not start: --perf-budget cannot be 'much'" in " ".join(
        result.output.split()
    )
    assert "PERFSUITE_RECORD_FOLDERS" not in os.environ


def test_runs_are_kept_where_the_measuring_session_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytest's root is a part of the repository; the table of settings stands above it."""
    (tmp_path / "pyproject.toml").write_text('[tool.perfsuite]\nout = "records"\n')
    part = tmp_path / "packages" / "part"
    part.mkdir(parents=True)
    (part / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(part)
    asked = cli_record._asked_of_pytest(())
    history = str(tmp_path / "records" / "history.sqlite")
    assert asked == Folders(tmp_path / "baselines", tmp_path / "records", (), history)
