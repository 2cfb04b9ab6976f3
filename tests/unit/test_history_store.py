"""The history's database: what is appended is there, whoever else writes and whatever breaks."""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from perfsuite.errors import HistoryError
from perfsuite.history import database as database_module
from perfsuite.history.database import SCHEMA, Database, about
from perfsuite.history.keep import check, keep
from perfsuite.history.store import (
    Selection,
    append,
    find_run,
    list_runs,
    list_series,
    load_record,
    load_series,
)
from perfsuite.results.history import Kind
from perfsuite.results.verdict import Outcome
from tests.unit.history_entries import entry_on
from tests.unit.history_writers import event, start_on_a_full_disk, start_writer
from tests.unit.postgres import running_server


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of either kind."""
    if request.param == "sqlite":
        yield Database(str(tmp_path / "a folder?" / "history.sqlite"))
        return
    own = Database(request.getfixturevalue("server"))
    yield own
    engine = sa.create_engine(own.url)
    database_module._METADATA.drop_all(engine)
    engine.dispose()


@pytest.fixture
def file(tmp_path: Path) -> Database:
    return Database(str(tmp_path / "history.sqlite"))


def ids(database: Database, selection: Selection | None = None) -> list[str]:
    return [run.run_id for run in list_runs(database, selection or Selection())]


def test_what_is_appended_comes_back_as_it_was(database: Database) -> None:
    entry = entry_on(3, latency_s=0.25, packages={"torch": "2.14.1"})
    append(database, [entry])
    assert list_runs(database, Selection()) == (entry.run,)
    assert load_record(database, entry.run.run_id) == entry.record
    (series,) = load_series(database, Selection(metric="latency"))
    (point,) = series.points
    assert series.key == entry.readings[0].key
    assert (point.value, point.interval) == (0.25, (0.25, 0.25))
    assert point.normalised == pytest.approx(0.25 / 0.03)
    assert (point.host, point.versions["torch"]) == ("node-1", "2.14.1")


def test_a_run_that_is_there_is_replaced_not_doubled(database: Database) -> None:
    append(database, [entry_on(0), entry_on(1)])
    append(database, [entry_on(1, latency_s=0.5)])
    assert len(ids(database)) == 2
    (series,) = load_series(database, Selection(metric="latency"))
    assert [point.value for point in series.points] == [0.2, 0.5]


def test_runs_are_selected_by_what_they_measured_and_when(database: Database) -> None:
    nights = [entry_on(night, host=f"node-{night % 2}") for night in range(6)]
    append(database, [*nights, entry_on(9, tier="int8", host="node-9")])
    assert ids(database, Selection(tier="int8")) == [entry_on(9).run.run_id]
    assert ids(database, Selection(last=2, tier="fp32")) == [
        each.run.run_id for each in nights[-2:]
    ]
    assert ids(database, Selection(host="node-1", since="2026-01-03T00")) == [
        nights[3].run.run_id,
        nights[5].run.run_id,
    ]
    assert ids(database, Selection(kind=Kind.GATE)) == []
    assert {key.tier for key in list_series(database, Selection())} == {"fp32", "int8"}


def test_only_like_stands_in_one_series(database: Database) -> None:
    """Another probe makes another series; what else was measured stays in its own."""
    other = entry_on(1)
    latency = other.readings[0]
    key = replace(latency.key, facts=(*latency.key.facts[:-1],))
    other = replace(other, readings=(replace(latency, key=key), *other.readings[1:]))
    append(database, [entry_on(0), other])
    assert len(load_series(database, Selection(metric="latency"))) == 2
    assert len(load_series(database, Selection(metric="peak memory"))) == 1


def test_invalid_measurements_are_no_points(database: Database) -> None:
    append(database, [entry_on(0), entry_on(1, outcome=Outcome.INVALID)])
    (series,) = load_series(database, Selection(metric="latency"))
    assert (len(series.points), series.left_out) == (1, 1)


def test_runs_are_found_by_a_beginning_of_their_id_and_from_the_end(database: Database) -> None:
    append(database, [entry_on(night) for night in range(3)])
    assert find_run(database, "20260102").run_id == entry_on(1).run.run_id
    assert find_run(database, "latest").run_id == entry_on(2).run.run_id
    assert find_run(database, "latest~2").run_id == entry_on(0).run.run_id
    for name, said in (
        ("2026", "several runs begin with"),
        ("1999", "has no run '1999'"),
        ("%", "has no run '%'"),
        ("", "has no run ''"),
        ("latest~3", "has 3 runs"),
        ("latest~-1", "is no run"),
        ("latest~\N{SUPERSCRIPT TWO}", "is no run"),
    ):
        with pytest.raises(HistoryError, match=said):
            find_run(database, name)


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(database: Database) -> None:
    append(database, [entry_on(0)])
    engine = sa.create_engine(database.url)
    with engine.begin() as connection:
        connection.execute(about.update().values(schema_version=SCHEMA + 1))
    engine.dispose()
    before = database.file.read_bytes() if database.file else b""
    for use in (lambda: append(database, [entry_on(1)]), lambda: ids(database)):
        with pytest.raises(HistoryError, match="newer perfsuite") as raised:
            use()
        assert "\n" not in str(raised.value)
        assert "upgrade perfsuite" in str(raised.value)
    if database.file:
        assert database.file.read_bytes() == before
        assert [each.name for each in database.file.parent.iterdir()] == [database.file.name]


def test_reading_makes_no_database(file: Database) -> None:
    with pytest.raises(HistoryError, match="there is no history in"):
        ids(file)
    assert file.file is not None
    assert not file.file.exists()


def test_a_file_that_is_no_database_is_left_as_it_is(file: Database) -> None:
    assert file.file is not None
    file.file.write_bytes(b"half a download " * 100)
    for use in (lambda: append(file, [entry_on(0)]), lambda: ids(file)):
        with pytest.raises(HistoryError, match=r"not a database.*move it away"):
            use()
    assert file.file.read_bytes() == b"half a download " * 100


def test_a_damaged_record_is_named(file: Database) -> None:
    append(file, [entry_on(0)])
    run_id = entry_on(0).run.run_id
    with sqlite3.connect(str(file)) as connection:
        connection.execute("UPDATE perfsuite_records SET content = ?", (b"xyz",))
    connection.close()
    with pytest.raises(HistoryError, match=f"the record of {run_id} .* is damaged"):
        load_record(file, run_id)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("mysql://u:secret@h/db", "cannot be kept in mysql"),
        ("nonsense://", "cannot be kept in nonsense"),
        ("://", "cannot be read"),
        ("postgresql://u:secret@h:port/db", "cannot be read"),
        ("sqlite://", "names no file"),
    ],
)
def test_places_that_are_none_are_refused_beforehand_without_their_password(
    place: str, said: str
) -> None:
    with pytest.raises(HistoryError, match=said) as raised:
        check(place)
    assert "secret" not in str(raised.value)


def test_a_server_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    place = f"postgresql://u:secret@/db?host={tmp_path}"
    problem = keep(entry_on(0), place)
    assert problem is not None
    assert "secret" not in str(problem)
    assert "cannot be used" in str(problem)


def test_a_driver_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(HistoryError, match=r"pip install 'perfsuite\[postgresql\]'"):
        check("postgresql://h/db")


def test_a_locked_database_is_told_and_changes_nothing(
    file: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(file, [entry_on(0)])
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.2)
    database_module._engine.cache_clear()
    holder = sqlite3.connect(str(file), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    problem = keep(entry_on(1), str(file))
    assert len(ids(file)) == 1, "readers do not wait for a writer"
    holder.close()
    database_module._engine.cache_clear()
    assert problem is not None
    assert "locked" in str(problem)
    assert keep(entry_on(1), str(file)) is None
    assert len(ids(file)) == 2


def test_what_nobody_foresaw_is_told_as_well(
    file: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("perfsuite.history.store.append", fail)
    assert str(keep(entry_on(0), str(file))) == (
        "the run could not be added to the history (RuntimeError: two lines)"
    )


def test_no_history_is_kept_where_none_is_wanted() -> None:
    assert keep(entry_on(0), None) is None
    check(None)


def test_ten_sessions_that_begin_a_history_at_once_lose_nothing(
    database: Database, tmp_path: Path
) -> None:
    begin = event()
    writers = [
        start_writer(database, (2 * number, 2 * number + 1), tmp_path / str(number), begin)
        for number in range(10)
    ]
    begin.set()
    for each in writers:
        each.join(120)
    assert [each.exitcode for each in writers] == [0] * 10
    assert ids(database) == [entry_on(night).run.run_id for night in range(20)]
    (series,) = load_series(database, Selection(metric="latency"))
    assert len(series.points) == 20


def test_a_kill_in_the_middle_of_a_write_loses_that_run_at_most(
    file: Database, tmp_path: Path
) -> None:
    append(file, [entry_on(0)])
    kept = set(ids(file))
    begin = event()
    begin.set()
    for number in range(1, 6):
        told = tmp_path / str(number)
        victim = start_writer(file, range(number * 1000, number * 1000 + 900), told, begin)
        deadline = time.monotonic() + 60
        while not told.exists() or not told.stat().st_size:  # until it is writing
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.007 * number)  # at another moment each time
        victim.kill()
        victim.join()
        assert victim.exitcode == -signal.SIGKILL
        kept |= set(told.read_text(encoding="utf-8").split())
        found = set(ids(file))
        assert kept <= found, "what was reported as appended is there"
        assert len(found - kept) <= 1, "one more may have been on its way"
        kept = found
    for run_id in kept:
        assert json.loads(load_record(file, run_id))["run_id"] == run_id
    (series,) = load_series(file, Selection(metric="latency"))
    assert {point.run_id for point in series.points} == kept, "no run without its values"


def test_a_full_disk_is_told_and_loses_nothing(file: Database, tmp_path: Path) -> None:
    """The kernel refuses to let the process's files grow, as a full disk or a quota does."""
    append(file, [entry_on(0)])
    before = list_runs(file, Selection())
    told = tmp_path / "told"
    writer = start_on_a_full_disk(file, told)
    writer.join(60)
    assert "cannot be used" in told.read_text(encoding="utf-8")
    assert list_runs(file, Selection()) == before
    append(file, [entry_on(1)])
    assert len(ids(file)) == 2
