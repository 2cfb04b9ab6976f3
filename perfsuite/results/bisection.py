"""The record of a bisection: every trial and the answer. One JSON file."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from perfsuite.errors import OutputError
from perfsuite.results.machine import Environment
from perfsuite.results.migrate import SCHEMA, migrated
from perfsuite.results.verdict import Metric, Verdict
from perfsuite.storage import read_json


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
    verdict: Verdict | None = None
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


class Question(enum.Enum):
    """What may have become worse."""

    LATENCY = "latency"
    QUALITY = "quality"
    COMPILE = "compile"
    GRAPH_BREAKS = "graph-breaks"
    STRUCTURE = "structure"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Verdicts of the gate that answer it; the gravest counts."""
        return _METRICS[self]

    @property
    def starts(self) -> int | None:
        """Starts of both arms that answer it; None if as many as the latency needs."""
        return _STARTS[self]

    @property
    def is_of_compilation(self) -> bool:
        """Whether it asks how long compiling takes, so that it has to begin with an empty cache."""
        return self is Question.COMPILE

    @property
    def is_of_images(self) -> bool:
        """Whether images answer it; a gate that asks nothing of them need not make any."""
        return Metric.IMAGES in self.metrics


_METRICS = {
    Question.LATENCY: (Metric.LATENCY,),
    Question.QUALITY: (Metric.IMAGES, Metric.SAME_IMAGES),
    Question.COMPILE: (Metric.COLD_COMPILE, Metric.WARM_COMPILE),
    Question.GRAPH_BREAKS: (Metric.GRAPH_BREAKS,),
    Question.STRUCTURE: (Metric.STRUCTURE,),
}


_STARTS = {
    Question.LATENCY: None,
    Question.QUALITY: 1,
    Question.COMPILE: 2,  # the first is the cold one
    Question.GRAPH_BREAKS: 1,
    Question.STRUCTURE: 1,
}


@dataclass(frozen=True)
class BisectRecord:
    """One bisection.

    Attributes:
        schema: version of this layout.
        bisect_id: names the file; sorts by time.
        environment: the machine, and the packages of the perfsuite that judged.
        checkpoint: what was measured.
        tier: on which tier.
        question: what may have become worse.
        package: what is bisected.
        good: SPEC of the good end.
        bad: SPEC of the bad end.
        versions: from the good end to the bad one, oldest first.
        trials: in the order in which they were made; the ends come first.
        result: where it became worse; None if that was not found.
        final: the first bad version against the last good one; None if that was not measured.
        stopped: why there is no result; empty with one.
    """

    schema: int
    bisect_id: str
    environment: Environment
    checkpoint: str
    tier: str
    question: Question
    package: str
    good: str
    bad: str
    versions: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()
    result: Bisected | None = None
    final: Trial | None = None
    stopped: str = ""


def bisection_path(bisect_id: str, out: Path) -> Path:
    """Where a bisection's record is kept."""
    return out / "bisections" / f"{bisect_id}.json"


def load_bisection(path: Path) -> BisectRecord:
    """Read and validate a record.

    Raises:
        OutputError: it cannot be read.
    """
    hint = "name a file that perfsuite bisect wrote under bisections/"
    return read_json(
        path, BisectRecord, schema=SCHEMA, error=OutputError, hint=hint, migrate=migrated
    )
