"""The commands `history`, `compare` and `trend`: what past runs say."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perfsuite.cli.common import COULD_NOT_RUN, history_option, put, show
from perfsuite.errors import HistoryError, SettingsError
from perfsuite.settings import find_root, resolve_settings

if TYPE_CHECKING:
    from perfsuite.history.database import Database
    from perfsuite.history.store import Selection
    from perfsuite.report.table import Document
    from perfsuite.results.history import Entry
    from perfsuite.results.two_runs import Noise

_KINDS = ("session", "gate", "self-test", "imported")
_NOISE_FROM = 60
"""Runs of a series that tell how much runs of the same code differ, at the most."""


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that name the database."""
    about = "Folder of records, with history.sqlite (.perfsuite)."
    command = click.option("--out", default=None, metavar="DIR", help=about)(command)
    return history_option(command)


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that choose runs."""
    for name, metavar, about in (
        ("host", "NAME", "Of this machine."),
        ("hardware", "KEY", "On this hardware."),
        ("checkpoint", "NAME", "Of this checkpoint."),
        ("tier", "NAME", "Of this tier."),
    ):
        command = click.option(f"--{name}", default=None, metavar=metavar, help=about)(command)
    since = click.option("--since", metavar="DATE", help="From this day on, e.g. 2026-11-01.")
    kind = click.option("--kind", type=click.Choice(_KINDS), help="Made by.")
    return since(kind(command))


dialect_option = click.option(
    "--format", "dialect", type=click.Choice(["console", "markdown", "json"]), default="console"
)


@click.command()
@selection_options
@click.option("--last", type=click.IntRange(1), default=20, show_default=True)
@dialect_option
@place_options
def history(dialect: str, last: int, history: str | None, out: str | None, **given: Any) -> None:
    """List past runs: sessions, gates, self-tests and what was imported."""
    from perfsuite.history.store import list_runs
    from perfsuite.report.history import history_document

    database = database_of(history, out)
    runs = list_runs(database, select(given, last=last))
    _write(history_document(runs, _shown(database)), dialect)


@click.command()
@click.argument("before")
@click.argument("after")
@dialect_option
@place_options
def compare(before: str, after: str, dialect: str, history: str | None, out: str | None) -> None:
    """Hold one run against an earlier one: BEFORE, then AFTER.

    Each is a run's id or the beginning of it, latest, latest~1 (the one before), or the file of a
    record. Only like is compared with like: what differs is named.
    """
    from perfsuite.judge.trend import changes_between
    from perfsuite.judge.two_runs import pair_readings
    from perfsuite.report.history import comparison_document

    database = database_of(history, out)
    old, new = (entry_named(database, name) for name in (before, after))
    pairs = pair_readings(old, new, _noise(database, new))
    versions = changes_between(old.run.versions, new.run.versions)
    _write(comparison_document(old.run, new.run, pairs, versions), dialect)


@click.command()
@selection_options
@click.option("--metric", default="latency", show_default=True, help="Or all.")
@click.option("--last", type=click.IntRange(1), help="So many runs of each series at the most.")
@dialect_option
@place_options
def trend(
    dialect: str, last: int | None, metric: str, history: str | None, out: str | None, **given: Any
) -> None:
    """Show slow drift and steps over many runs, when they came, and with which versions."""
    from perfsuite.history.store import list_series
    from perfsuite.history.trends import find_trends
    from perfsuite.report.history import trend_document

    database = database_of(history, out)
    chosen = select(given, last=last, metric=None if metric == "all" else metric)
    trends = find_trends(database, chosen)
    if not trends:
        known = sorted({key.quantity.name for key in list_series(database, select({}))})
        raise HistoryError(
            f"{database} has no such series", hint=f"--metric takes all, {', '.join(known)}"
        )
    _write(trend_document(trends), dialect)


def database_of(history: str | None, out: str | None) -> Database:
    """The database that a command is to use.

    Raises:
        SettingsError: there is to be none.
    """
    from perfsuite.history.database import Database

    settings = resolve_settings({"history": history, "out": out}, find_root(Path.cwd()), flag="--")
    if settings.history is None:
        raise SettingsError("the history is off", hint="name its database with --history")
    return Database(settings.history)


def select(
    given: dict[str, Any], *, last: int | None = None, metric: str | None = None
) -> Selection:
    """Which runs a command's options ask for.

    Raises:
        SettingsError: --since is no date.
    """
    from perfsuite.history.store import Selection
    from perfsuite.results.history import Kind

    since = given.get("since")
    if since is not None:
        try:
            day = datetime.datetime.fromisoformat(since)
        except ValueError:
            hint = "write a day: 2026-11-01"
            raise SettingsError(f"--since cannot be {since!r}", hint=hint) from None
        utc = datetime.timezone.utc
        since = (day.astimezone(utc) if day.tzinfo else day.replace(tzinfo=utc)).isoformat()
    kind = given.get("kind")
    return Selection(
        kind=Kind(kind) if kind else None,
        tier=given.get("tier"),
        metric=metric,
        checkpoint=given.get("checkpoint"),
        hardware_key=given.get("hardware"),
        host=given.get("host"),
        since=since,
        last=last,
    )


def entry_named(database: Database, name: str) -> Entry:
    """A run of the history, or the record in a file.

    Raises:
        PerfsuiteError: there is none of that name, or it cannot be read.
    """
    from perfsuite.history.records import entry_of_file, entry_of_run
    from perfsuite.history.store import find_run

    path = Path(name).expanduser()
    if path.suffix == ".json" and path.is_file():
        return entry_of_file(path)
    return entry_of_run(database, find_run(database, name))


def _noise(database: Database, entry: Entry) -> dict[str, Noise]:
    """How much runs differ, for each series of a run that has enough points."""
    from perfsuite.history.store import Selection, load_series
    from perfsuite.judge.trend import noise_in

    if database.file is not None and not database.file.exists():
        return {}  # both runs are files
    wanted = {reading.key.digest for reading in entry.readings}
    names = {reading.key.quantity.name for reading in entry.readings}
    found = {}
    for name in sorted(names):
        for series in load_series(database, Selection(metric=name, last=_NOISE_FROM)):
            noise = noise_in(series)
            if noise is not None and series.key.digest in wanted:
                found[series.key.digest] = noise
    return found


def _shown(database: Database) -> str:
    """Where a database is, for people: a file from here."""
    return os.path.relpath(database.file) if database.file is not None else str(database)


def _write(document: Document, dialect: str) -> None:
    from perfsuite.report.json import render_json
    from perfsuite.report.markdown import render_markdown

    if dialect == "console":
        written = show(document)
    else:
        written = put({"markdown": render_markdown, "json": render_json}[dialect](document))
    if not written:
        raise click.exceptions.Exit(COULD_NOT_RUN)
