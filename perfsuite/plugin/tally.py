"""How the tests that measure have ended: judged, recorded, or skipped and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from perfsuite.results.verdict import Outcome

_JUDGED = (Outcome.PASSED, Outcome.REGRESSED, Outcome.IMPROVED)
_DID_NOT_RUN = "did not run to its end"


@dataclass
class Ending:
    """One test that measures.

    Attributes:
        has_verdict: whether it uses one of the verdicts' fixtures; otherwise its own assertions
            are the verdict.
        outcomes: of the verdicts that it was given.
        stopped: why it ended without one: an error, or the reason for skipping it.
        ended: whether it ran to its end.
    """

    has_verdict: bool
    outcomes: list[Outcome] = field(default_factory=list)
    stopped: str | None = None
    ended: bool = False

    @property
    def missing(self) -> str | None:
        """Why there is no verdict; None if there is one, or a recorded baseline."""
        for outcome in self.outcomes:
            if outcome not in (*_JUDGED, Outcome.RECORDED):
                return str(outcome.value)
        if self.outcomes:
            return None
        if self.stopped or not self.ended:
            return self.stopped or _DID_NOT_RUN
        return "no verdict was asked for" if self.has_verdict else None

    @property
    def was_recorded(self) -> bool:
        """Whether it made a baseline and judged nothing."""
        return self.missing is None and Outcome.RECORDED in self.outcomes


@dataclass(frozen=True)
class Counts:
    """What came out of all tests that measure.

    Attributes:
        judged: tests with a verdict.
        recorded: tests that made a baseline.
        missing: the others, by reason.
    """

    judged: int
    recorded: int
    missing: Counter[str]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was judged and nothing recorded."""
        return self.judged + self.recorded == 0

    def __str__(self) -> str:
        """One line: judged, recorded, and skipped with how many for which reason."""
        reasons = ", ".join(f"{why} \N{MULTIPLICATION SIGN} {n}" for why, n in self.missing.items())
        skipped = f"{self.missing.total()} skipped" + (f" ({reasons})" if reasons else "")
        return f"{self.judged} judged, {self.recorded} recorded, {skipped}"


def count(tested: Iterable[Ending]) -> Counts:
    """Count how tests have ended."""
    tests = tuple(tested)
    missing = Counter(each.missing for each in tests if each.missing is not None)
    recorded = sum(each.was_recorded for each in tests)
    return Counts(len(tests) - missing.total() - recorded, recorded, missing)
