"""Whatever can be imported: which tool wrote a file is told by what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from perfsuite.errors import HistoryError
from perfsuite.exchange.asv import asv_files, entry_of_asv, is_of_asv
from perfsuite.exchange.pytest_benchmark import entry_of_pytest_benchmark
from perfsuite.history.records import entry_of_file
from perfsuite.results.history import Entry
from perfsuite.storage import read_file, why

_NO_RECORDS = ("latest.json",)


def files_below(path: Path) -> Iterator[Path]:
    """A file itself; of a folder its records, saved benchmarks and asv's results."""
    if not path.is_dir():
        yield path
        return
    of_asv = list(asv_files(path))
    if of_asv:
        yield from of_asv
        return
    for each in sorted(path.glob("*.json")):
        if each.name not in _NO_RECORDS:
            yield each


def read_entry(path: Path) -> Entry:
    """A record of perfsuite's, pytest-benchmark's JSON, or a file of asv's results.

    Raises:
        PerfsuiteError: it cannot be read, or is none of these.
    """
    hint = "name a record under runs/ or gates/, pytest-benchmark's JSON, or asv's results"
    try:
        content = read_file(path)
        document = msgspec.json.decode(content)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise HistoryError(f"cannot read {path} ({why(error)})", hint=hint) from None
    if is_of_asv(document):
        return entry_of_asv(path, content)
    if isinstance(document, dict) and "benchmarks" in document:
        return entry_of_pytest_benchmark(path, content)
    if isinstance(document, dict) and ("run_id" in document or "gate_id" in document):
        return entry_of_file(path)
    raise HistoryError(f"{path} is nothing that can be imported", hint=hint)
