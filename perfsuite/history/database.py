"""The history's database: its tables, how it is opened, and what can be wrong with it.

SQLite lies in one file and is written in WAL mode, so that readers and writers do not wait for each
other; a server is named by its URL. Whatever goes wrong there becomes one `HistoryError`.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from perfsuite.errors import HistoryError
from perfsuite.storage import why

SCHEMA = 1
"""Of the tables. A database of a newer one is neither read nor written."""
BUSY_TIMEOUT_S = 30.0
"""A writer holds the database for milliseconds: who waits longer waits for one that hangs."""
CONNECT_TIMEOUT_S = 10
"""For a server that does not answer; a `connect_timeout` in its URL takes the place of it."""
_CREATION_LOCK = 0x70657266
"""Of PostgreSQL: held while the tables are made, since two sessions may be the first."""
_ANOTHER = "name another database with --perf-history, or --perf-history off"

_METADATA = sa.MetaData()
about = sa.Table(
    "perfsuite_history",
    _METADATA,
    sa.Column("schema_version", sa.Integer, nullable=False),
)
runs = sa.Table(
    "perfsuite_runs",
    _METADATA,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False, index=True),
    sa.Column("host", sa.Text),
    sa.Column("hardware_key", sa.Text, nullable=False),
    sa.Column("hardware", sa.Text, nullable=False),
    sa.Column("checkpoint", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("versions", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text),
    sa.Column("complete", sa.Boolean, nullable=False),
)
"""One row for each run."""
records = sa.Table(
    "perfsuite_records",
    _METADATA,
    sa.Column("run_id", sa.ForeignKey(runs.c.run_id, ondelete="CASCADE"), primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
"""Whole records, raw samples included: JSON, compressed by zlib."""
series = sa.Table(
    "perfsuite_series",
    _METADATA,
    sa.Column("series_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("tier", sa.Text, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
)
"""One row for each `SeriesKey`, which `key` holds as JSON."""
points = sa.Table(
    "perfsuite_points",
    _METADATA,
    sa.Column("series_id", sa.ForeignKey(series.c.series_id), primary_key=True),
    sa.Column(
        "run_id", sa.ForeignKey(runs.c.run_id, ondelete="CASCADE"), primary_key=True, index=True
    ),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("low", sa.Double),
    sa.Column("high", sa.Double),
    sa.Column("normalised", sa.Double),
    sa.Column("outcome", sa.Text),
)
"""Values derived from the records; they can be derived anew at any time."""


@dataclass(frozen=True)
class Database:
    """A history by its place.

    Attributes:
        place: path of an SQLite file, or the URL of a database.
    """

    place: str

    @property
    def url(self) -> sa.URL:
        """As SQLAlchemy takes it.

        Raises:
            HistoryError: it is no URL, or of a database that perfsuite does not know.
        """
        if "://" not in self.place:
            return sa.URL.create("sqlite", database=self.place)
        try:
            url = sa.make_url(self.place)
        except (sa.exc.ArgumentError, ValueError):  # its message would repeat the password
            raise HistoryError("the history's URL cannot be read", hint=_URLS) from None
        if url.get_backend_name() not in ("sqlite", "postgresql"):
            problem = f"the history cannot be kept in {url.get_backend_name()}"
            raise HistoryError(problem, hint=_URLS)
        return url

    @property
    def file(self) -> Path | None:
        """Path of an SQLite database; None for a server."""
        url = self.url
        if url.get_backend_name() != "sqlite":
            return None
        return Path(url.database or "")

    def __str__(self) -> str:
        """For people: without a password."""
        return str(self.file or self.url.render_as_string(hide_password=True))

    def check(self) -> None:
        """See, without connecting, that the place is one and that its driver is installed.

        Raises:
            HistoryError: it is not.
        """
        url = self.url
        if url.get_backend_name() == "sqlite" and not url.database:
            raise HistoryError("the history's URL names no file", hint=_URLS)
        try:
            url.get_dialect().import_dbapi()
        except ImportError:
            raise HistoryError(
                f"{self} needs a driver that is not installed",
                hint="pip install 'perfsuite[postgresql]'",
            ) from None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes; the tables are made if they are not there.

        Raises:
            HistoryError: the database cannot be opened or written, or is of a newer schema: then
                nothing is written.
        """
        self.check()
        with self._said():
            if self.file is not None:
                self.file.parent.mkdir(parents=True, exist_ok=True)
            engine = _engine(self.url, writes=True)
            with engine.connect() as connection:
                if self._check_schema(connection) is not None:
                    yield connection
                    connection.commit()
                    return
            self._make_tables(engine)
            with engine.begin() as connection:
                yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that reads; nothing is made or written.

        Raises:
            HistoryError: there is no history there, it cannot be read, or it is of a newer schema.
        """
        self.check()
        nothing = HistoryError(
            f"there is no history in {self}",
            hint="pytest -m perf begins one, perfsuite import adds records that are there",
        )
        if self.file is not None and not self.file.exists():
            raise nothing
        with self._said(), _engine(self.url, writes=False).connect() as connection:
            if self._check_schema(connection) is None:
                raise nothing
            yield connection

    def _make_tables(self, engine: sa.Engine) -> None:
        """Make what is missing; of several sessions that begin a history at once, one does."""
        _use_wal(engine)
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATION_LOCK)))
            if self._check_schema(connection) is None:
                _METADATA.create_all(connection)
                connection.execute(about.insert().values(schema_version=SCHEMA))

    def _check_schema(self, connection: sa.Connection) -> int | None:
        """The schema's number; None where there are no tables yet."""
        if not sa.inspect(connection).has_table(about.name):
            return None
        found = connection.execute(sa.select(sa.func.max(about.c.schema_version))).scalar()
        if found is None or found > SCHEMA:
            raise HistoryError(
                f"{self} was written by a newer perfsuite (schema {found}, this one knows up to "
                f"{SCHEMA}): it is left as it is",
                hint="upgrade perfsuite, or name another database with --perf-history",
            )
        return int(found)

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """Whatever a driver has against the database, as one line."""
        try:
            yield
        except HistoryError:
            raise
        except sa.exc.SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            said = " ".join(str(cause).split()) or type(cause).__name__
            raise HistoryError(f"{self} cannot be used ({said})", hint=_hint(said)) from None
        except (OSError, ValueError) as error:
            raise HistoryError(f"{self} cannot be used ({why(error)})", hint=_ANOTHER) from None


_URLS = "it takes a file, sqlite:///FILE or postgresql://USER@HOST/NAME"


def _hint(said: str) -> str:
    if "locked" in said:
        return f"it was in use for {BUSY_TIMEOUT_S:g} s: end the process that holds it"
    if "full" in said:
        return "free space: perfsuite import adds the record afterwards"
    if "malformed" in said or "not a database" in said:
        return "move it away, and perfsuite import the records that are under runs/ and gates/"
    return _ANOTHER


@functools.lru_cache(maxsize=8)
def _engine(url: sa.URL, *, writes: bool) -> sa.Engine:
    """An engine without a pool; a transaction of SQLite that writes holds the file throughout."""
    if url.get_backend_name() != "sqlite":
        waiting = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_TIMEOUT_S}
        return sa.create_engine(url, poolclass=NullPool, connect_args=waiting)
    if not writes and not url.query.get("uri"):  # opening does not make a file
        file = Path(url.database or "").absolute().as_uri()
        url = url.set(database=file, query={"mode": "rw", "uri": "true"})
    # The driver begins no transactions of its own: it would only do so before the first change.
    arguments = {"timeout": BUSY_TIMEOUT_S, "isolation_level": None}
    engine = sa.create_engine(url, poolclass=NullPool, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        # In WAL mode the file is synchronised when the last connection closes, which is at once.
        connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_wal(engine: sa.Engine) -> None:
    """Readers and a writer of SQLite do not wait for each other from now on.

    Where the file cannot be switched (another process has it open, some network file systems), it
    goes on in the mode that it is in, which loses nothing either.
    """
    if engine.dialect.name != "sqlite":
        return
    with (
        contextlib.closing(engine.raw_connection()) as connection,
        contextlib.suppress(sqlite3.OperationalError),
    ):
        connection.cursor().execute("PRAGMA journal_mode = WAL")
