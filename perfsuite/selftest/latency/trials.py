"""What the latency gate's self-test measures: processes, tiers and planted slowdowns.

A trial is one fresh process that measures some tiers as they are and, in some trials, with extra
work planted. Trials are kept as JSON files, one each: a self-test that was stopped goes on where it
was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perfsuite.results.machine import Conditions, Environment
from perfsuite.results.samples import LatencySamples
from perfsuite.selftest.experiment import Experiment, Plan

SCHEMA = 2
"""1 held control_s in the place of probe_s."""


@dataclass(frozen=True)
class TrialPlan(Plan):
    """A self-test of the latency gate.

    Attributes:
        schema: version of this layout.
        checkpoint: what is measured.
        tiers: names.
        device: where.
        threads: CPU threads of torch; None for the default.
        slowdowns: planted, as fractions.
        baseline_runs: the first so many trials can serve as a baseline; they have no slowdown.
        fresh_runs: trials after them.
        planted_every: every so-manieth fresh trial has the slowdowns planted, too.
        unchanged_s: seconds of sampling per tier as it is.
        planted_s: seconds of sampling per tier and slowdown.
    """

    checkpoint: str
    tiers: tuple[str, ...]
    device: str
    threads: int | None
    slowdowns: tuple[float, ...]
    baseline_runs: int
    fresh_runs: int
    planted_every: int
    unchanged_s: float
    planted_s: float

    @property
    def trials(self) -> int:
        """How many processes are measured in all."""
        return self.baseline_runs + self.fresh_runs

    def plants(self, number: int) -> bool:
        """Whether slowdowns are planted in a trial; trials count from 0."""
        fresh = number - self.baseline_runs
        return fresh >= 0 and fresh % self.planted_every == 0


QUICK = TrialPlan(SCHEMA, "pocket", ("sdpa",), "auto", None, (0.05, 0.10, 0.20), 5, 4, 2, 6.0, 4.0)
"""A glance: under four minutes on two cores; too few verdicts for a rate."""

FULL = TrialPlan(
    SCHEMA,
    "pocket",
    ("fp32", "sdpa", "compile"),
    "auto",
    None,
    (0.03, 0.05, 0.10, 0.20),
    baseline_runs=10,
    fresh_runs=29,
    planted_every=4,
    unchanged_s=24.0,
    planted_s=16.0,
)
"""More than a hundred verdicts on unchanged code, spread over more than an hour."""


@dataclass(frozen=True)
class PlantedSamples:
    """One tier with one slowdown in one trial.

    Attributes:
        tier: its name.
        slowdown: planted, as a fraction; 0 is the tier as it is.
        latency: raw samples.
        sampling_s: seconds that they took, probes included.
        conditions: what else went on meanwhile.
    """

    tier: str
    slowdown: float
    latency: LatencySamples
    sampling_s: float
    conditions: Conditions


@dataclass(frozen=True)
class Trial:
    """What one process measured.

    Attributes:
        schema: version of this layout.
        number: from 0, in the order of time.
        environment: where and when.
        wall_s: seconds from the process's start to its end, imports and compilation included.
        samples: by tier and slowdown, in the order in which they were taken.
    """

    schema: int
    number: int
    environment: Environment
    wall_s: float
    samples: tuple[PlantedSamples, ...]

    def find(self, tier: str, slowdown: float) -> PlantedSamples | None:
        """The samples of a tier with a slowdown; None if they were not taken."""
        matching = (
            each for each in self.samples if each.tier == tier and each.slowdown == slowdown
        )
        return next(matching, None)


def experiment(folder: Path, plan: TrialPlan) -> Experiment[Trial]:
    """The trials of a self-test's folder."""
    return Experiment(folder, plan, Trial)
