"""Sessions append themselves to the history, and are judged the same where that fails."""

from __future__ import annotations

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.history.database import Database
from perfsuite.history.store import Selection, list_runs, load_record, load_series
from tests.unit.test_plugin import latest, project, run

__all__ = ["project"]


def test_a_session_is_in_the_history(project: pytest.Pytester) -> None:
    run(project, "--perf-tiers", "fp32")
    record = latest(project)
    database = Database(str(project.path / ".perfsuite" / "history.sqlite"))
    (past,) = list_runs(database, Selection())
    assert (past.run_id, past.complete) == (record.run_id, True)
    assert past.host == record.host
    assert record.run_id.encode() in load_record(database, past.run_id)
    (series,) = load_series(database, Selection(metric="latency"))
    assert series.key.tier == "fp32"


def test_a_history_that_cannot_be_written_is_one_line_and_no_verdict(
    project: pytest.Pytester,
) -> None:
    (project.path / "broken.sqlite").write_text("this is no database" * 100)
    result = run(project, "--perf-tiers", "fp32", "--perf-history", "broken.sqlite")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["not in the history: *not a database*perfsuite import *.json*"])


def test_a_place_that_is_none_stops_before_anything_is_measured(
    project: pytest.Pytester, quick: Checkpoint
) -> None:
    result = run(project, "--perf-history", "mysql://h/db")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: the history cannot be kept in mysql: it takes a file*"])
    assert not (project.path / ".perfsuite").exists()


def test_no_history_is_kept_where_none_is_wanted(project: pytest.Pytester) -> None:
    run(project, "--perf-tiers", "fp32", "--perf-history", "off")
    assert latest(project).run_id
    assert not (project.path / ".perfsuite" / "history.sqlite").exists()
