"""History as values: past runs, series of one metric over time, and what changed in a series.

Nothing here knows of the database (`perfsuite.history`) or of how changes are found
(`perfsuite.judge.trend`).
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from perfsuite.results.verdict import Basis, Outcome


class Kind(str, enum.Enum):
    """What made a run."""

    SESSION = "session"
    GATE = "gate"
    SELFTEST = "self-test"
    IMPORTED = "imported"
    """Another tool's results; they are never compared with perfsuite's own."""


class Unit(str, enum.Enum):
    """Of the values of a series."""

    SECONDS = "s"
    BYTES = "bytes"
    DECIBELS = "dB"
    COUNT = "count"
    FRACTION = "fraction"
    """Without a unit: SSIM, a relative error, a share."""


@dataclass(frozen=True)
class Quantity:
    """What a series is of.

    Attributes:
        name: the value of a `Metric`, or a name of its own such as `first image`.
        unit: of the values.
        less_is_worse: whether a lower value is the worse one, as of SSIM.
    """

    name: str
    unit: Unit
    less_is_worse: bool = False


@dataclass(frozen=True)
class Fact:
    """One thing that must be equal for two values to be held against each other.

    Attributes:
        name: for people: `weights`, `threads`, `probe`.
        value: compared as text.
    """

    name: str
    value: str


@dataclass(frozen=True)
class SeriesKey:
    """What two values must share to stand in one series: only like is compared with like.

    Attributes:
        kind: what made the runs.
        tier: its name; the benchmark's name in imported results.
        quantity: what was measured.
        hardware_key: names the hardware.
        checkpoint: names the checkpoint.
        workload: label of the workload for people; None for the checkpoint's own.
        facts: all else that must be equal, in a fixed order.
    """

    kind: Kind
    tier: str
    quantity: Quantity
    hardware_key: str
    checkpoint: str
    workload: str | None = None
    facts: tuple[Fact, ...] = ()

    @property
    def label(self) -> str:
        """Names its tier: `fp32`, or `fp32-NAME` with a workload of its own."""
        return self.tier if self.workload is None else f"{self.tier}-{self.workload}"

    @property
    def all_facts(self) -> tuple[Fact, ...]:
        """Everything that must be equal, the named fields included."""
        return (
            Fact("kind", self.kind.value),
            Fact("tier", self.tier),
            Fact("metric", self.quantity.name),
            Fact("unit", self.quantity.unit.value),
            Fact("hardware", self.hardware_key),
            Fact("checkpoint", self.checkpoint),
            *self.facts,
        )

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that tell this series from all others."""
        text = "\x1f".join(f"{fact.name}\x1e{fact.value}" for fact in self.all_facts)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def differences(self, other: SeriesKey) -> tuple[tuple[Fact, Fact], ...]:
        """Facts in which two keys differ, as pairs; what one of them does not tell is left out."""
        theirs = {fact.name: fact for fact in other.all_facts}
        pairs = ((own, theirs.get(own.name)) for own in self.all_facts)
        return tuple((own, their) for own, their in pairs if their is not None and own != their)


@dataclass(frozen=True)
class Reading:
    """One value that a run adds to one series.

    Attributes:
        key: the series.
        value: in the series' unit.
        interval: its 95 % interval within the run; None where it has none.
        normalised: the value as a multiple of the probe's, or of the control's in a gate; what
            slows both falls out. None where there is neither.
        outcome: of the verdict on it; None where it was not judged.
    """

    key: SeriesKey
    value: float
    interval: tuple[float, float] | None = None
    normalised: float | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True)
class PastRun:
    """What a list of runs shows of one.

    Attributes:
        run_id: of its record.
        kind: what made it.
        at: when it began, UTC, ISO 8601.
        hardware_key: names the hardware.
        hardware: model of the CPU or accelerator, for people.
        checkpoint: names the checkpoint.
        title: what was measured, for people.
        host: the machine by name; None where it is not known.
        versions: of packages, by name; `python`, `system` and `revision` (of the project) too.
        outcome: the gravest verdict; None without any.
        complete: whether it came to its end.
    """

    run_id: str
    kind: Kind
    at: str
    hardware_key: str
    hardware: str
    checkpoint: str
    title: str
    host: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    outcome: Outcome | None = None
    complete: bool = True


@dataclass(frozen=True)
class Entry:
    """One run as it is appended to the history.

    Attributes:
        run: what a list shows of it.
        readings: values derived from its raw samples, one for each series.
        record: the whole record as JSON, raw samples included.
    """

    run: PastRun
    readings: tuple[Reading, ...]
    record: bytes


@dataclass(frozen=True)
class Point:
    """One run's value in a series.

    Attributes:
        run_id: of the run.
        at: when it began, UTC, ISO 8601.
        value: in the series' unit.
        interval: its 95 % interval within the run; None where it has none.
        normalised: the value as a multiple of the probe's or the control's; None without one.
        host: the machine by name; None where it is not known.
        versions: of packages, by name; `python`, `system` and `revision` too.
        outcome: of that run's own verdict; None where it was not judged.
    """

    run_id: str
    at: str
    value: float
    interval: tuple[float, float] | None = None
    normalised: float | None = None
    host: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Series:
    """One quantity of one tier over time, on one kind of hardware, of one kind of work.

    Attributes:
        key: what all its points share.
        points: oldest first.
        left_out: runs whose measurement was invalid; they are no points.
    """

    key: SeriesKey
    points: tuple[Point, ...]
    left_out: int = 0


class Shape(str, enum.Enum):
    """How a series changed."""

    STEP = "step"
    DRIFT = "drift"


class Cause(str, enum.Enum):
    """Where a change is to be looked for."""

    CODE = "code"
    """Every host that ran before and after shows it."""
    HOST = "host"
    """Some hosts show it, others that ran at the same time do not."""
    UNKNOWN = "unknown"
    """The runs do not tell both apart: one host alone, or others before than after."""


@dataclass(frozen=True)
class VersionChange:
    """A version that was another one before a change.

    Attributes:
        name: of the package, or `python`, `system`, `revision`.
        before: in the last run before; None where it was absent.
        after: in the first run after; None where it is absent.
    """

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Change:
    """One change of a series.

    Attributes:
        shape: at once, or little by little.
        start: place of the first point that is not as before.
        end: place of the first point that is as after; of a step, the same as `start`.
        earliest: place at which it may have begun at the earliest, with 95 % confidence.
        latest: … and at the latest.
        before: level before, in the series' unit, on the trend's basis.
        after: level after, in the series' unit.
        change: of the level, as a fraction (in the series' unit where the trend is not relative);
            positive is more.
        change_interval: its 95 % interval.
        is_worse: whether the change is one for the worse.
        per_week: of a drift, change a week as a fraction; None for a step.
        cause: the host's, the code's, or not to be told.
        hosts: hosts that show it.
        unmoved: hosts that ran before and after and do not show it.
        versions: what changed between the last run before and the first run after.
    """

    shape: Shape
    start: int
    end: int
    earliest: int
    latest: int
    before: float
    after: float
    change: float
    change_interval: tuple[float, float]
    is_worse: bool
    per_week: float | None = None
    cause: Cause = Cause.UNKNOWN
    hosts: tuple[str, ...] = ()
    unmoved: tuple[str, ...] = ()
    versions: tuple[VersionChange, ...] = ()


@dataclass(frozen=True)
class Trend:
    """A series with what changed in it.

    Attributes:
        series: the points.
        basis: whether values as multiples of the probe were searched, or the values themselves.
        noise: standard deviation between runs without a change, as a fraction of the level (in the
            series' own unit where `is_relative` is false); None with too few points to tell.
        is_relative: whether changes are fractions of the level; false for series with values that
            are not positive.
        values: of the points on that basis, in the series' unit: a multiple of the probe times the
            typical probe, so that what slows both has fallen out.
        changes: oldest first.
        fitted: level at each point, in the series' unit; empty with too few points.
    """

    series: Series
    basis: Basis
    noise: float | None = None
    is_relative: bool = True
    values: tuple[float, ...] = ()
    changes: tuple[Change, ...] = ()
    fitted: tuple[float, ...] = ()
