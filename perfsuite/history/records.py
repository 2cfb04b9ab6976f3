"""Records that lie in files, or in the history, as entries."""

from __future__ import annotations

from pathlib import Path

import msgspec

from perfsuite.errors import HistoryError, OutputError
from perfsuite.history.database import Database
from perfsuite.history.entries import entry_of_gate, entry_of_session
from perfsuite.history.store import load_readings, load_record
from perfsuite.results.ab import load_gate
from perfsuite.results.history import Entry, PastRun
from perfsuite.results.migrate import SCHEMA, migrated
from perfsuite.results.session import RunRecord
from perfsuite.results.session import load_record as load_session
from perfsuite.storage import read_file, why


def entry_of_file(path: Path) -> Entry:
    """The record of a session or of a gate.

    Raises:
        OutputError: it cannot be read, or is neither.
    """
    try:
        document = msgspec.json.decode(read_file(path))
    except (OSError, ValueError, msgspec.DecodeError) as error:
        hint = "name a record that perfsuite wrote under runs/ or gates/"
        raise OutputError(f"cannot read {path} ({why(error)})", hint=hint) from None
    if isinstance(document, dict) and "gate_id" in document:
        return entry_of_gate(load_gate(path))
    return entry_of_session(load_session(path))


def entry_of_run(database: Database, run: PastRun) -> Entry:
    """A run of the history with what was derived from its record.

    Raises:
        HistoryError: the database cannot be read.
    """
    return Entry(run, load_readings(database, run.run_id), load_record(database, run.run_id))


def session_in(entry: Entry) -> RunRecord:
    """The record of a session's entry, of whichever schema it was written.

    Raises:
        HistoryError: it is damaged, or of a newer schema.
    """
    try:
        document = msgspec.json.decode(entry.record)
        if document["schema"] > SCHEMA:
            raise ValueError(f"schema {document['schema']}, this perfsuite reads up to {SCHEMA}")
        return msgspec.convert(migrated(document), type=RunRecord)
    except Exception as error:  # it may hold anything
        said = str(error) or type(error).__name__
        problem = f"the record of {entry.run.run_id} cannot be read ({said})"
        raise HistoryError(problem, hint="upgrade perfsuite, or import its file again") from None
