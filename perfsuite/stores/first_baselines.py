"""Which first baselines were ever recorded under a folder of records, so that a lost one shows.

A machine that measures every night records its first baseline itself (`--perf-missing once`). If
that file is gone some night later, nothing but this list tells it from a machine that never had
one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from perfsuite.errors import BaselineError
from perfsuite.results.session import RunRecord
from perfsuite.storage import locked, read_json, write_json
from perfsuite.workload import labelled

SCHEMA = 1
NAME = "first-baselines.json"
"""Beside `baselines/` and not in it: it outlives that folder."""


@dataclass(frozen=True)
class Subject:
    """What a baseline is of, whichever kind of hardware the machine counts as today.

    Attributes:
        pool: label of the machine's pool; None without one.
        name: of the baseline's file: the checkpoint and its workload.
        tier: the tier.
    """

    pool: str | None
    name: str
    tier: str


@dataclass(frozen=True)
class Entry:
    """A baseline that was recorded.

    Attributes:
        subject: what it is of.
        hardware_key: names the hardware that it was recorded on.
        run_id: of the run record that it is from.
    """

    subject: Subject
    hardware_key: str
    run_id: str


@dataclass(frozen=True)
class _Listed:
    schema: int
    recorded: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class FirstBaselines:
    """The list under a folder of records.

    Attributes:
        path: its file.
    """

    path: Path

    @classmethod
    def under(cls, out: Path) -> FirstBaselines:
        """The list of a folder of records."""
        return cls(out / NAME)

    def check(self) -> None:
        """See that the list can be read, before anything is measured.

        Raises:
            BaselineError: it cannot.
        """
        self._read()

    def find(self, subject: Subject) -> Entry | None:
        """What was recorded of a subject; None if nothing ever was.

        Raises:
            BaselineError: the list cannot be read.
        """
        return next((each for each in self._read().recorded if each.subject == subject), None)

    def note(self, subject: Subject, hardware_key: str, run_id: str) -> None:
        """Add a baseline to the list; the first of a subject stays.

        Raises:
            BaselineError: the list cannot be read.
            OutputError: it cannot be written.
        """
        with locked(self.path):
            known = self._read()
            if any(each.subject == subject for each in known.recorded):
                return
            added = Entry(subject, hardware_key, run_id)
            write_json(self.path, replace(known, recorded=(*known.recorded, added)))

    def _read(self) -> _Listed:
        if not self.path.exists():
            return _Listed(SCHEMA)
        return read_json(
            self.path,
            _Listed,
            schema=SCHEMA,
            error=BaselineError,
            hint="delete it: first baselines are then recorded anew where there are none",
        )


def subject_of(record: RunRecord, label: str | None, tier: str) -> Subject:
    """What a session's baseline of a tier is of.

    Args:
        record: of the session.
        label: of its workload's files; None for the checkpoint's own workload.
        tier: the tier.
    """
    pool = record.environment.hardware.label
    return Subject(pool, labelled(record.checkpoint, label), tier)
