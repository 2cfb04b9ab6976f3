"""Processes that write to a history at once; a fork server imports what they need only once."""

from __future__ import annotations

import multiprocessing
import resource
import signal
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Event
from pathlib import Path

from perfsuite.history.database import Database
from perfsuite.history.keep import keep
from perfsuite.history.store import append
from perfsuite.results.history import Entry
from tests.unit.history_entries import entry_on

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


def event() -> Event:
    return _CONTEXT.Event()


def start_writer(
    database: Database, nights: Sequence[int], told: Path, begin: Event
) -> ForkServerProcess:
    """A process that appends nights one by one, and tells each in a file once it is appended."""
    process = _CONTEXT.Process(target=_write, args=(database, nights, told, begin))
    process.start()
    return process


def start_on_a_full_disk(database: Database, told: Path) -> ForkServerProcess:
    """A process that appends a night, and may make no file longer than 8 KiB meanwhile."""
    process = _CONTEXT.Process(target=_write_on_a_full_disk, args=(database, told))
    process.start()
    return process


def _write(database: Database, nights: Sequence[int], told: Path, begin: Event) -> None:
    entries: list[Entry] = [entry_on(night) for night in nights]
    with open(told, "w", buffering=1, encoding="utf-8") as file:
        begin.wait(60)
        for entry in entries:
            append(database, [entry])
            file.write(f"{entry.run.run_id}\n")


def _write_on_a_full_disk(database: Database, told: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    problem = keep(entry_on(1), database.place)
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    told.write_text(str(problem), encoding="utf-8")
