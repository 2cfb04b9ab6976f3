"""`perfsuite history`, `compare`, `trend`, `import` and `export`, as a person calls them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from perfsuite.cli import main
from perfsuite.history.database import Database
from perfsuite.history.store import append
from perfsuite.results.session import save_record
from tests.unit.history_entries import entry_on, session_on

NIGHTS = 40


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with forty nights on three hosts; from the 25th on torch is newer, and slower."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PERFSUITE_HISTORY", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    noise = np.random.default_rng(0).normal(0, 0.012, NIGHTS)
    entries = [
        entry_on(
            night,
            latency_s=float(0.2 * np.exp(noise[night]) * (1.08 if night >= 25 else 1)),
            host=f"node-{night % 3}",
            packages={"torch": "2.14.0" if night >= 25 else "2.13.0"},
        )
        for night in range(NIGHTS)
    ]
    append(Database(str(tmp_path / ".perfsuite" / "history.sqlite")), entries)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def said(result: Result) -> str:
    return " ".join(result.output.split())


def test_history_lists_the_newest_runs(folder: Path) -> None:
    result = call("history", "--last", "3", "--host", "node-0")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert len(lines) == 5
    assert lines[-1].startswith(
        "2026-02-09 03:00 20260209T030000Z-0027 session node-0 pocket: fp32"
    )
    assert max(len(line) for line in lines) <= 80


def test_tables_fit_sixty_columns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for command in (["history"], ["trend", "--metric", "all"], ["compare", "latest~9", "latest"]):
        result = call(*command)
        assert result.exit_code == 0, result.output
        assert max(len(line) for line in result.output.splitlines()) <= 60


def test_trend_shows_the_step_whose_it_is_and_what_changed(folder: Path) -> None:
    result = call("trend")
    assert result.exit_code == 0, result.output
    assert "since 2026-01-26" in said(result)
    assert "the code's: all of node-0, node-1, node-2 show it" in said(result)
    assert "torch 2.13.0 to 2.14.0" in said(result)


def test_trend_in_the_dialects_of_pages_and_programs(folder: Path) -> None:
    assert "| tier | metric |" in call("trend", "--format", "markdown").output
    blocks = json.loads(call("trend", "--format", "json").output)
    assert blocks[1]["table"][0]["tier"] == "fp32"


def test_trend_of_something_else_names_what_there_is(folder: Path) -> None:
    result = call("trend", "--metric", "colour")
    assert result.exit_code == 2
    assert "no such series" in said(result)
    assert "latency, peak memory" in said(result)


def test_compare_gives_the_change_with_its_uncertainty_and_names_versions(folder: Path) -> None:
    result = call("compare", "20260111", "latest")
    assert result.exit_code == 0, result.output
    assert "changed: torch 2.13.0 to 2.14.0" in said(result)
    assert "on another host" in said(result)
    line = next(line for line in result.output.splitlines() if "latency" in line)
    assert "±" in line


def test_compare_compares_only_like_with_like(folder: Path) -> None:
    record = session_on(50)
    other = replace(record, environment=replace(record.environment, threads=2))
    path = save_record(other, folder)
    result = call("compare", "latest", str(path))
    assert result.exit_code == 0, result.output
    assert "not like" in result.output
    assert "not compared (threads 1 / 2)" in said(result)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("compare", "2026", "latest"), "several runs begin with '2026'"),
        (("compare", "latest", "nothing"), "has no run 'nothing'"),
        (("history", "--since", "yesterday"), "--since cannot be 'yesterday'"),
        (("history", "--history", "off"), "the history is off"),
        (("history", "--history", "elsewhere.sqlite"), "there is no history in"),
        (("export", "--format", "prometheus", "--tier", "fp32"), "is of one run"),
        (("export", "--format", "otava", "--tier", "none"), "no run of"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    folder: Path, arguments: tuple[str, ...], problem: str
) -> None:
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert problem in said(result)
    assert not (folder / "elsewhere.sqlite").exists()


def test_import_adds_what_it_can_and_names_the_rest(folder: Path) -> None:
    for night in (60, 61):
        save_record(session_on(night), folder)
    (folder / "runs" / "half.json").write_text('{"schema": 2, "run')
    result = call("import", "runs")
    assert result.exit_code == 4
    assert "half.json" in said(result)
    assert "2 runs added to" in said(result)
    (folder / "runs" / "half.json").unlink()
    assert call("import", "runs").exit_code == 0
    assert f"{NIGHTS + 2} runs" in call("history", "--last", "1000").output, "added once"


def test_import_begins_a_history(folder: Path) -> None:
    path = save_record(session_on(60), folder)
    result = call("import", str(path), "--history", "new.sqlite")
    assert result.exit_code == 0, result.output
    assert "1 run added" in result.output
    assert "1 run" in call("history", "--history", "new.sqlite").output


def test_export_writes_to_a_file_or_prints(folder: Path) -> None:
    result = call("export", "--format", "otava", "-o", "nights.csv")
    assert result.exit_code == 0, result.output
    assert len((folder / "nights.csv").read_text().splitlines()) == NIGHTS + 1
    printed = call("export", "latest~1", "--format", "pytest-benchmark")
    assert json.loads(printed.output)["benchmarks"][0]["name"] == "test_latency[fp32]"
    assert call("export", "--format", "otava", "-o", "nights.csv/x").exit_code == 2
