"""Which version made it worse: halving a list with a test that may have no answer. Pure."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfsuite.judge.sides import MetricVerdict


class Answer(enum.Enum):
    """What a trial says of a version."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"
    """It could not be installed or measured, or what was measured does not settle it."""


@dataclass(frozen=True)
class Trial:
    """One version that was held against another.

    Attributes:
        version: which.
        against: version that it was held against.
        answer: what was found.
        note: one line for people; empty if the verdict says it all.
        verdict: on the metric in question; None if nothing was measured.
        fails: whether it could not be built at all, where the other could.
        gate_id: names the gate's record with the raw samples; empty without one.
    """

    version: str
    against: str
    answer: Answer
    note: str = ""
    verdict: MetricVerdict | None = None
    fails: bool = False
    gate_id: str = ""


@dataclass(frozen=True)
class Bisected:
    """Where it became worse.

    Attributes:
        last_good: newest version below `first_bad` that is known to be good.
        first_bad: oldest version that is known to be bad.
        unknown: versions between them, none of which gave an answer.
    """

    last_good: str
    first_bad: str
    unknown: tuple[str, ...] = ()


def bisect(versions: Sequence[str], test: Callable[[str], Answer]) -> Bisected:
    """Halve a list of versions until none between good and bad is left to try.

    A version without an answer is left for its nearest neighbour that was not tried yet.

    Args:
        versions: oldest first; the first is known to be good, the last to be bad.
        test: tries one.
    """
    good, bad = 0, len(versions) - 1
    unknown: set[int] = set()
    while True:
        left = [place for place in range(good + 1, bad) if place not in unknown]
        if not left:
            return Bisected(versions[good], versions[bad], tuple(versions[good + 1 : bad]))
        middle = (good + bad) / 2
        place = min(left, key=lambda each: abs(each - middle))
        answer = test(versions[place])
        if answer is Answer.GOOD:
            good = place
        elif answer is Answer.BAD:
            bad = place
        else:
            unknown.add(place)
