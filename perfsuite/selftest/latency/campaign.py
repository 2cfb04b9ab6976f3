"""Running a self-test's trials, each in a fresh process, and joining them into a report."""

from __future__ import annotations

import datetime
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from perfsuite.children import run_child
from perfsuite.errors import MeasurementError
from perfsuite.progress import Progress
from perfsuite.results.machine import Environment
from perfsuite.results.verdict import Outcome
from perfsuite.selftest.latency.rates import (
    GateRates,
    Planted,
    RuleRates,
    gate_rates,
    planted_costs,
    rule_rates,
)
from perfsuite.selftest.latency.trials import SCHEMA, Trial, TrialPlan, experiment
from perfsuite.storage import read_json

SETTINGS = ((0.05, 5), (0.025, 10))
"""Tolerance and runs of the baseline that the gate is tried with."""


@dataclass(frozen=True)
class LatencyReport:
    """What a self-test of the latency gate found.

    Attributes:
        schema: version of this layout.
        environment: where it was made.
        plan: what was measured.
        trials: processes measured.
        began_at: time of the first trial, UTC, ISO 8601.
        span_s: seconds from the first trial to the last.
        verdict_s: machine time of one verdict in seconds: a process's wall-clock time, imports,
            building and warm-up included, by its tiers; median over trials without slowdowns.
        gates: the gate's own record.
        rules: other tools' records.
        planted: what the planted work really cost.
    """

    schema: int
    environment: Environment
    plan: TrialPlan
    trials: int
    began_at: str
    span_s: float
    verdict_s: float
    gates: tuple[GateRates, ...]
    rules: tuple[RuleRates, ...]
    planted: tuple[Planted, ...]

    @property
    def false_alarms(self) -> int:
        """Verdicts `regressed` on unchanged code, over all settings."""
        return sum(gate.rate(0.0, Outcome.REGRESSED).hits for gate in self.gates)


def run_trials(plan: TrialPlan, folder: Path, progress: Progress) -> tuple[Trial, ...]:
    """Measure the trials that a folder does not hold yet, each in a fresh process.

    Args:
        plan: what to measure.
        folder: `selftest/latency` under the output folder.
        progress: told before each trial.

    Raises:
        OutputError: the folder holds trials of another plan.
        MeasurementError: a trial's process failed.
    """
    trials = experiment(folder, plan)
    return trials.carry_out(plan.trials, lambda number: _in_fresh_process(folder, number), progress)


def report_on(trials: tuple[Trial, ...], plan: TrialPlan) -> LatencyReport:
    """Error rates of the gate and of other tools' rules on the same trials.

    Raises:
        MeasurementError: there is no trial beyond the baseline's.
    """
    usable = [setting for setting in SETTINGS if setting[1] < len(trials)]
    if not usable:
        raise MeasurementError(
            f"{len(trials)} trials are too few for a baseline and a verdict",
            hint="let perfsuite selftest run to its end",
        )
    times = [datetime.datetime.fromisoformat(each.environment.recorded_at) for each in trials]
    unplanted = [each.wall_s for each in trials if not plan.plants(each.number)]
    return LatencyReport(
        schema=1,
        environment=trials[0].environment,
        plan=plan,
        trials=len(trials),
        began_at=trials[0].environment.recorded_at,
        span_s=(times[-1] - times[0]).total_seconds() + trials[-1].wall_s,
        verdict_s=statistics.median(unplanted) / len(plan.tiers),
        gates=tuple(gate_rates(trials, plan, runs, tolerance) for tolerance, runs in usable),
        rules=tuple(rule_rates(trials, plan, usable[0][1])),
        planted=planted_costs(trials, plan),
    )


def _in_fresh_process(folder: Path, number: int) -> Trial:
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "trial.json"
        worker = [sys.executable, "-m", "perfsuite.selftest.latency.worker"]
        done = run_child(
            [*worker, str(folder), str(number), str(target)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        hint = "fix it and start perfsuite selftest again: it goes on where it stopped"
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise MeasurementError(f"trial {number} failed ({lines[-1]})", hint=hint)
        return read_json(target, Trial, schema=SCHEMA, error=MeasurementError, hint=hint)
