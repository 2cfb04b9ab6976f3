"""Appending runs to the history and reading them back, as values."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from perfsuite.errors import HistoryError
from perfsuite.history.database import Database, points, records, runs, series
from perfsuite.results.history import Entry, Kind, PastRun, Point, Reading, Series, SeriesKey
from perfsuite.results.verdict import Outcome

LATEST = "latest"


@dataclass(frozen=True)
class Selection:
    """Which runs, or series, are asked for; None where it does not matter.

    Attributes:
        kind: what made the runs.
        tier: its name, or its label with a workload.
        metric: name of the quantity.
        checkpoint: name.
        hardware_key: names the hardware.
        host: the machine's name.
        since: ISO 8601; runs that began earlier are left out.
        last: so many of the newest runs at the most.
    """

    kind: Kind | None = None
    tier: str | None = None
    metric: str | None = None
    checkpoint: str | None = None
    hardware_key: str | None = None
    host: str | None = None
    since: str | None = None
    last: int | None = None


def append(database: Database, entries: Iterable[Entry]) -> None:
    """Add runs, each with its record, in one transaction; a run that is there is replaced.

    Raises:
        HistoryError: the database cannot be written; nothing has been added then.
    """
    with database.writing() as connection:
        for entry in entries:
            _append(connection, entry)


def _append(connection: sa.Connection, entry: Entry) -> None:
    known = connection.execute(
        sa.select(runs.c.run_id).where(runs.c.run_id == entry.run.run_id)
    ).first()
    if known is not None:
        for table in (points, records, runs):
            connection.execute(table.delete().where(table.c.run_id == entry.run.run_id))
    row = msgspec.to_builtins(entry.run)
    row["versions"] = msgspec.json.encode(entry.run.versions, order="sorted").decode()
    connection.execute(runs.insert().values(**row))
    content = zlib.compress(entry.record)
    connection.execute(records.insert().values(run_id=entry.run.run_id, content=content))
    readings = {reading.key.digest: reading for reading in entry.readings}
    if readings:
        known_series = _series_ids(connection, readings)
        connection.execute(
            points.insert(),
            [
                _row(entry.run.run_id, known_series[digest], reading)
                for digest, reading in readings.items()
            ],
        )


def _row(run_id: str, series_id: int, reading: Reading) -> dict[str, Any]:
    low, high = reading.interval or (None, None)
    return {
        "run_id": run_id,
        "series_id": series_id,
        "value": reading.value,
        "low": low,
        "high": high,
        "normalised": reading.normalised,
        "outcome": reading.outcome.value if reading.outcome else None,
    }


def _series_ids(connection: sa.Connection, readings: dict[str, Reading]) -> dict[str, int]:
    """Rows of series by digest; those that are not there yet are made, by whoever is first."""
    rows = [
        {
            "digest": digest,
            "tier": reading.key.label,
            "metric": reading.key.quantity.name,
            "key": msgspec.json.encode(reading.key).decode(),
        }
        for digest, reading in readings.items()
    ]
    known = _known_series(connection, readings)
    missing = [row for row in rows if row["digest"] not in known]
    if missing:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(series).on_conflict_do_nothing(), missing)
        known = _known_series(connection, readings)
    return known


def _known_series(connection: sa.Connection, digests: Iterable[str]) -> dict[str, int]:
    query = sa.select(series.c.digest, series.c.series_id).where(series.c.digest.in_(digests))
    return {row.digest: row.series_id for row in connection.execute(query)}


def list_runs(database: Database, selection: Selection) -> tuple[PastRun, ...]:
    """The runs that are asked for, oldest first.

    Raises:
        HistoryError: the database cannot be read.
    """
    query = sa.select(runs).order_by(runs.c.at.desc(), runs.c.run_id.desc())
    for condition in _conditions(selection):
        query = query.where(condition)
    if selection.tier is not None or selection.metric is not None:
        of_series = sa.select(points.c.run_id).join(series)
        for condition in _series_conditions(selection):
            of_series = of_series.where(condition)
        query = query.where(runs.c.run_id.in_(of_series))
    if selection.last is not None:
        query = query.limit(selection.last)
    with database.reading() as connection:
        found = connection.execute(query).all()
    return tuple(_past_run(row) for row in reversed(found))


def find_run(database: Database, name: str) -> PastRun:
    """A run by its id, by a beginning of it that only it has, `latest`, or `latest~2`.

    Raises:
        HistoryError: there is none, or there are several; or the database cannot be read.
    """
    hint = "perfsuite history lists them"
    if name == LATEST or name.startswith(f"{LATEST}~"):
        back = name.removeprefix(LATEST).removeprefix("~") or "0"
        if not back.isascii() or not back.isdigit() or len(back) > 6:
            raise HistoryError(f"'{name}' is no run", hint=f"write {LATEST}~1 for the one before")
        found = list_runs(database, Selection(last=int(back) + 1))
        if len(found) <= int(back):
            raise HistoryError(f"{database} has {len(found)} runs, no '{name}'", hint=hint)
        return found[0]
    escaped = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    query = sa.select(runs).where(runs.c.run_id.like(f"{escaped}%", escape="\\")).limit(3)
    with database.reading() as connection:
        rows = connection.execute(query).all()
    exact = [row for row in rows if row.run_id == name]
    if not name or not rows:
        raise HistoryError(f"{database} has no run '{name}'", hint=hint)
    if len(rows) > 1 and not exact:
        raise HistoryError(f"several runs begin with '{name}'", hint=f"write more of it: {hint}")
    return _past_run((exact or rows)[0])


def load_record(database: Database, run_id: str) -> bytes:
    """A run's record as JSON, with all raw samples.

    Raises:
        HistoryError: there is none, or the database cannot be read.
    """
    query = sa.select(records.c.content).where(records.c.run_id == run_id)
    with database.reading() as connection:
        content = connection.execute(query).scalar()
    if content is None:
        raise HistoryError(f"{database} has no run '{run_id}'", hint="perfsuite history lists them")
    try:
        return zlib.decompress(content)
    except zlib.error as error:
        raise HistoryError(
            f"the record of {run_id} in {database} is damaged ({error})",
            hint="perfsuite import its file again",
        ) from None


def load_readings(database: Database, run_id: str) -> tuple[Reading, ...]:
    """What a run added to the history's series.

    Raises:
        HistoryError: the database cannot be read.
    """
    query = (
        sa.select(points, series.c.key)
        .join(series)
        .where(points.c.run_id == run_id)
        .order_by(series.c.series_id)
    )
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return tuple(
        Reading(
            msgspec.json.decode(row.key, type=SeriesKey),
            row.value,
            None if row.low is None else (row.low, row.high),
            row.normalised,
            Outcome(row.outcome) if row.outcome else None,
        )
        for row in rows
    )


def list_series(database: Database, selection: Selection) -> tuple[SeriesKey, ...]:
    """What series there are, by tier and metric.

    Raises:
        HistoryError: the database cannot be read.
    """
    with database.reading() as connection:
        return tuple(key for _, key in _find_series(connection, selection))


def load_series(database: Database, selection: Selection) -> tuple[Series, ...]:
    """Series with the points of the runs that are asked for, by tier and metric.

    `last` counts the points of each. Series without a point are left out.

    Raises:
        HistoryError: the database cannot be read.
    """
    with database.reading() as connection:
        known = _find_series(connection, selection)
        loaded = [_load(connection, number, key, selection) for number, key in known]
    return tuple(each for each in loaded if each.points or each.left_out)


def _find_series(connection: sa.Connection, selection: Selection) -> list[tuple[int, SeriesKey]]:
    query = sa.select(series.c.series_id, series.c.key).order_by(series.c.series_id)
    for condition in _series_conditions(selection):
        query = query.where(condition)
    found = [
        (number, msgspec.json.decode(key, type=SeriesKey))
        for number, key in connection.execute(query)
    ]
    wanted = (
        ("kind", selection.kind),
        ("checkpoint", selection.checkpoint),
        ("hardware_key", selection.hardware_key),
    )
    return [
        (number, key)
        for number, key in found
        if all(value is None or getattr(key, name) == value for name, value in wanted)
    ]


def _load(connection: sa.Connection, number: int, key: SeriesKey, selection: Selection) -> Series:
    query = (
        sa.select(points, runs.c.at, runs.c.host, runs.c.versions)
        .join(runs, runs.c.run_id == points.c.run_id)
        .where(points.c.series_id == number)
        .order_by(runs.c.at.desc(), runs.c.run_id.desc())
    )
    for condition in _conditions(selection):
        query = query.where(condition)
    if selection.last is not None:
        query = query.limit(selection.last)
    rows = connection.execute(query).all()[::-1]
    versions: dict[str, dict[str, str]] = {}  # the same text again and again
    for row in rows:
        if row.versions not in versions:
            versions[row.versions] = msgspec.json.decode(row.versions, type=dict[str, str])
    valid = [row for row in rows if row.outcome != Outcome.INVALID.value]
    made = (
        Point(
            row.run_id,
            row.at,
            row.value,
            None if row.low is None else (row.low, row.high),
            row.normalised,
            row.host,
            versions[row.versions],
            Outcome(row.outcome) if row.outcome else None,
        )
        for row in valid
    )
    return Series(key, tuple(made), len(rows) - len(valid))


def _conditions(selection: Selection) -> list[sa.ColumnElement[bool]]:
    """Of runs."""
    wanted = (
        (runs.c.kind, selection.kind.value if selection.kind else None),
        (runs.c.checkpoint, selection.checkpoint),
        (runs.c.hardware_key, selection.hardware_key),
        (runs.c.host, selection.host),
    )
    conditions = [column == value for column, value in wanted if value is not None]
    if selection.since is not None:
        conditions.append(runs.c.at >= selection.since)
    return conditions


def _series_conditions(selection: Selection) -> list[sa.ColumnElement[bool]]:
    wanted = ((series.c.tier, selection.tier), (series.c.metric, selection.metric))
    return [column == value for column, value in wanted if value is not None]


def _past_run(row: Any) -> PastRun:
    fields = {str(name): value for name, value in row._mapping.items()}
    fields["versions"] = msgspec.json.decode(fields["versions"], type=dict[str, str])
    return msgspec.convert(fields, type=PastRun, strict=False)
