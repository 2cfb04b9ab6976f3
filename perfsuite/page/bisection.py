"""A bisection's part of the page: the path from both ends to the first bad version."""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.report.bisect import command, summary, trial_cells
from perfsuite.results.bisection import Answer, BisectRecord, Trial
from perfsuite.results.verdict import Outcome


@dataclass(frozen=True)
class Stop:
    """A version on the way from the good end to the bad one.

    Attributes:
        version: which.
        answer: what is known of it; None if it was not tried.
        order: of its trial, from 1; None if it was not tried.
        is_last_good: whether it is the newest good one below the first bad.
        is_first_bad: whether it is the answer.
    """

    version: str
    answer: Answer | None
    order: int | None
    is_last_good: bool
    is_first_bad: bool


@dataclass(frozen=True)
class TrialRow:
    """One trial in words."""

    order: int
    trial: Trial
    cells: tuple[str, ...]


@dataclass(frozen=True)
class BisectPart:
    """A bisection.

    Attributes:
        record: what it is made of.
        headline: the answer in one sentence.
        outcome: for its colour.
        lines: what else is said of the answer.
        path: every version.
        trials: in the order in which they were made.
        command: what repeats it.
    """

    record: BisectRecord
    headline: str
    outcome: Outcome
    lines: tuple[str, ...]
    path: tuple[Stop, ...]
    trials: tuple[TrialRow, ...]
    command: str


def bisect_part(record: BisectRecord) -> BisectPart:
    """Everything that a page shows of a bisection."""
    head, *lines = summary(record)
    found = record.result
    return BisectPart(
        record,
        f"{head}.",
        Outcome.INCONCLUSIVE if found is None else Outcome.REGRESSED,
        tuple(lines),
        tuple(_stop(record, version) for version in record.versions),
        tuple(TrialRow(n, each, trial_cells(each)) for n, each in enumerate(record.trials, 1)),
        command(record),
    )


def _stop(record: BisectRecord, version: str) -> Stop:
    good = record.versions[0]
    tried = {
        trial.version: (order, trial.answer)
        for order, trial in enumerate(record.trials, start=1)
        if trial.against == good
    }
    order, answer = tried.get(version, (None, None))
    result = record.result
    return Stop(
        version,
        answer,
        order,
        result is not None and version == result.last_good,
        result is not None and version == result.first_bad,
    )
