"""The engine of the self-tests: numbered trials of one plan, kept as files, and their rates.

A self-test that was stopped goes on where it was: trials that lie in its folder are not made again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from scipy import stats

from perfsuite.errors import OutputError
from perfsuite.progress import Progress
from perfsuite.storage import read_json, write_json

Trial = TypeVar("Trial")


@dataclass(frozen=True)
class Plan:
    """What a self-test does; trials belong together only if their plans are equal.

    Attributes:
        schema: version of its files' layout.
    """

    schema: int


@dataclass(frozen=True)
class Rate:
    """How many of how many.

    Attributes:
        hits: how often it happened.
        total: how often it could have.
        low: lower end of the 95 % interval of the share (E. B. Wilson, JASA 22, 1927).
        high: upper end.
    """

    hits: int
    total: int
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, total: int) -> Rate:
        """The rate with its interval; of nothing nothing is known."""
        if not total:
            return cls(0, 0, 0.0, 1.0)
        interval = stats.binomtest(hits, total).proportion_ci(method="wilson")
        return cls(hits, total, float(interval.low), float(interval.high))

    @property
    def share(self) -> float:
        """As a fraction; 0 of 0 is 0."""
        return self.hits / self.total if self.total else 0.0


@dataclass(frozen=True)
class Experiment(Generic[Trial]):
    """A folder of trials.

    Attributes:
        folder: where the plan and the trials lie.
        plan: of the self-test.
        kind: the dataclass of one trial.
    """

    folder: Path
    plan: Plan
    kind: type[Trial]

    def path(self, number: int) -> Path:
        """Where a trial lies; trials count from 0."""
        return self.folder / f"trial-{number:04}.json"

    def carry_out(
        self, trials: int, make: Callable[[int], Trial], progress: Progress
    ) -> tuple[Trial, ...]:
        """Make the trials that are not there yet; each is kept as soon as it has been made.

        Args:
            trials: how many there are to be.
            make: makes one, from its number.
            progress: told before each.

        Raises:
            OutputError: the folder holds trials of another plan, or cannot be written or read.
        """
        self.agree()
        for number in range(trials):
            progress("trial", number, trials)
            if not self.path(number).is_file():
                write_json(self.path(number), make(number))
        return self.load()

    def agree(self) -> None:
        """Note the plan, or see that what is in the folder was made by the same one.

        Raises:
            OutputError: it was made by another, or the folder cannot be written.
        """
        path = self.folder / "plan.json"
        if not path.is_file():
            write_json(path, self.plan)
            return
        hint = "delete the folder, or pass another with --out"
        schema, kind = self.plan.schema, type(self.plan)
        before = read_json(path, kind, schema=schema, error=OutputError, hint=hint)
        if before != self.plan:
            raise OutputError(f"{self.folder} holds trials of another self-test", hint=hint)

    def load(self) -> tuple[Trial, ...]:
        """All trials, in the order of time.

        Raises:
            OutputError: one of them cannot be read.
        """
        hint = "delete it: the self-test makes it anew"
        return tuple(
            read_json(path, self.kind, schema=self.plan.schema, error=OutputError, hint=hint)
            for path in sorted(self.folder.glob("trial-*.json"))
        )
