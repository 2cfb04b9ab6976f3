"""Trials of the upgrade gate: what is planted in the treatment's arm, and what the gate says.

Each trial is one gate over one tier, with both arms in fresh processes of this environment. Trials
are kept as JSON files, one each: a self-test that was stopped goes on where it was.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perfsuite.ab.plan import GatePlan
from perfsuite.results.ab import BlockRecord, TierGate
from perfsuite.results.machine import Environment
from perfsuite.results.reasons import Note
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.selftest.experiment import Experiment, Plan, Rate

SCHEMA = 2
ORDER = (0.0, 0.03, 0.0, 0.03, 0.05)
"""Slowdowns that are planted in turn, as fractions, so that a part of a self-test is balanced. The
largest is the easiest to find and comes half as often."""
SLOWDOWNS = tuple(sorted(set(ORDER)))
TOLERANCE = 0.015
TIERS = ("fp32", "bf16", "sdpa")
"""Those that start fast: a cold compile would take most of a try's time."""


@dataclass(frozen=True)
class GateTrialPlan(Plan):
    """A self-test of the upgrade gate.

    Attributes:
        schema: version of this layout.
        checkpoint: what is measured.
        identity: of its weights.
        tiers: tried in turn.
        device: where.
        order: slowdowns that are planted in turn, as fractions.
        tolerance: of the gate.
        budget_s: seconds of sampling of one gate at the most.
    """

    checkpoint: str
    identity: str
    tiers: tuple[str, ...]
    device: str
    order: tuple[float, ...]
    tolerance: float
    budget_s: float

    @classmethod
    def of(cls, plan: GatePlan) -> GateTrialPlan:
        """The self-test that holds such gates."""
        return cls(
            SCHEMA,
            plan.record.checkpoint,
            plan.record.identity,
            tuple(tier.name for tier in plan.tiers),
            plan.work.request.device,
            ORDER,
            TOLERANCE,
            plan.record.budget_s,
        )


@dataclass(frozen=True)
class GateTrial:
    """One gate.

    Attributes:
        schema: version of this layout.
        number: from 0, in the order of time.
        slowdown: planted in the treatment, as a fraction.
        tolerance: of the gate.
        tier: the tier's name.
        environment: where and when.
        latency: the verdict.
        worst: gravest outcome over all of the tier's metrics; None if it could not run.
        sampling_s: seconds of sampling.
        wall_s: seconds in all.
        overhead: between samples, as a fraction of a sample; see `overhead_of`.
        gate_id: names the gate's record with the raw samples.
    """

    schema: int
    number: int
    slowdown: float
    tolerance: float
    tier: str
    environment: Environment
    latency: Verdict
    worst: Outcome | None
    sampling_s: float
    wall_s: float
    overhead: float
    gate_id: str


@dataclass(frozen=True)
class GateRow:
    """Trials with the same slowdown.

    Attributes:
        slowdown: planted, as a fraction.
        regressed: how many were called slower.
        passed: how many passed.
        cost: mean estimate of the change, as a fraction.
        error: its standard error; None of a single try.
        sampling_s: median seconds of sampling.
        longest_s: most seconds of sampling.
    """

    slowdown: float
    regressed: Rate
    passed: Rate
    cost: float
    error: float | None
    sampling_s: float
    longest_s: float


@dataclass(frozen=True)
class GateReport:
    """What a self-test of the upgrade gate found.

    Attributes:
        schema: version of this layout.
        environment: of the first try.
        tolerance: of the gate.
        tiers: that were tried in turn.
        trials: in the order of time.
        rows: one for each slowdown.
        overhead: median of the trials'.
        wall_s: median seconds of one trial.
    """

    schema: int
    environment: Environment
    tolerance: float
    tiers: tuple[str, ...]
    trials: tuple[GateTrial, ...]
    rows: tuple[GateRow, ...]
    overhead: float
    wall_s: float

    @property
    def false_alarms(self) -> int:
        """Equal arms of which one was called slower."""
        return sum(row.regressed.hits for row in self.rows if row.slowdown == 0)


def trials_for(repeats: int) -> int:
    """How many trials hold equal arms, and each but the largest slowdown, so often."""
    return math.ceil(repeats / ORDER.count(0.0)) * len(ORDER)


def slowdown_of(number: int) -> float:
    """What is planted in a try."""
    return ORDER[number % len(ORDER)]


def tier_of(number: int, tiers: Sequence[str]) -> str:
    """The tier of a trial: every slowdown meets every tier."""
    return tiers[number // len(ORDER) % len(tiers)]


def latency_of(tier: TierGate) -> Verdict:
    """The verdict on latency; `invalid` if the tier did not run."""
    found = (each for each in tier.verdicts if each.metric is Metric.LATENCY)
    reason = tier.failure.message if tier.failure else "not judged"
    return next(found, Verdict(Metric.LATENCY, Outcome.INVALID, (Note(reason),)))


def overhead_of(blocks: Sequence[BlockRecord]) -> float:
    """What the gate takes between samples, as a fraction of a sample.

    Time of sampling that no sample accounts for, shared out among the samples: the messages, the
    worker's waking up, its look at the machine and its collection of young garbage. What is outside
    of samples does not lengthen them; it is the share of the budget that measures nothing.
    """
    shares = [
        block.sampling_s / sum(sample.seconds for sample in block.samples) - 1 for block in blocks
    ]
    return statistics.median(shares) if shares else 0.0


def experiment(folder: Path, plan: GateTrialPlan) -> Experiment[GateTrial]:
    """The trials of a self-test's folder."""
    return Experiment(folder, plan, GateTrial)


def report_on(trials: Sequence[GateTrial], tiers: Sequence[str]) -> GateReport:
    """Rates of a self-test's trials, of which there is at least one."""
    return GateReport(
        SCHEMA,
        trials[0].environment,
        trials[0].tolerance,
        tuple(tiers),
        tuple(trials),
        tuple(
            _row(slowdown, own)
            for slowdown in SLOWDOWNS
            if (own := [each for each in trials if each.slowdown == slowdown])
        ),
        statistics.median(each.overhead for each in trials),
        statistics.median(each.wall_s for each in trials),
    )


def _row(slowdown: float, trials: Sequence[GateTrial]) -> GateRow:
    outcomes = [each.latency.outcome for each in trials]
    changes = [each.latency.change for each in trials if each.latency.change is not None]
    error = statistics.stdev(changes) / len(changes) ** 0.5 if len(changes) > 1 else None
    return GateRow(
        slowdown,
        Rate.of(outcomes.count(Outcome.REGRESSED), len(outcomes)),
        Rate.of(outcomes.count(Outcome.PASSED), len(outcomes)),
        statistics.fmean(changes) if changes else 0.0,
        error,
        statistics.median(each.sampling_s for each in trials),
        max(each.sampling_s for each in trials),
    )
