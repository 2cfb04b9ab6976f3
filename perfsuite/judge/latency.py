"""From samples and a baseline to a verdict. Pure functions: no clock, no file, no printing.

Judging has two steps. `compare` (`perfsuite.judge.comparison`) turns a run and its baseline into an
estimate with its uncertainty and p-values; `decide` turns that into a verdict at the level that the
family of a session's tests leaves to each. What a run's number is, and why runs are the unit, is in
`perfsuite.judge.spread`; how small a slowdown can be seen, in `perfsuite.judge.power`.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from perfsuite.judge.comparison import Comparison, Policy
from perfsuite.judge.outcome import Outcome
from perfsuite.judge.power import (
    budget_needed_s,
    quantile,
    runs_needed,
    sampling_s,
    sees_enough,
    smallest_visible,
)
from perfsuite.judge.spread import Basis, median_interval
from perfsuite.measure.measurement import LatencySamples


@dataclass(frozen=True)
class LatencyVerdict:
    """A verdict with all that it rests on; None where there was nothing to compute it from.

    Attributes:
        outcome: what it says.
        reason: one line for people.
        measured_s: median latency, seconds.
        measured_interval_s: 95 % interval of that median within this run, seconds.
        baseline_s: latency that it was held against, seconds.
        change: slowdown on the verdict's basis, as a fraction; negative is faster.
        change_interval: 95 % prediction interval of the change, as fractions.
        smallest_visible: slowdown that would have been called a regression with 95 % power.
        tolerance: from the policy.
        basis: which number was judged.
        run_spread: standard deviation between runs of that number, as a fraction.
        p_value: of 'no slower than before'.
        level: that the p-value was held against; Holm's, with what was known at that time.
    """

    outcome: Outcome
    reason: str
    measured_s: float
    measured_interval_s: tuple[float, float]
    baseline_s: float | None = None
    change: float | None = None
    change_interval: tuple[float, float] | None = None
    smallest_visible: float | None = None
    tolerance: float | None = None
    basis: Basis | None = None
    run_spread: float | None = None
    p_value: float | None = None
    level: float | None = None


def decide(comparison: Comparison, policy: Policy, *, level: float | None = None) -> LatencyVerdict:
    """The verdict on a comparison.

    - `regressed`: slower by more than the tolerance, and 'no slower than before' is refuted at the
      level (one-sided).
    - `improved`: the same, downwards.
    - `passed`: neither, and a slowdown of twice the tolerance would have been called a regression
      with 95 % power.
    - `inconclusive`: neither, and it would not.

    Args:
        comparison: from `compare`.
        policy: how strict to be.
        level: of the test, from `perfsuite.judge.family.holm_level`; the policy's if left out.
    """
    level = policy.level if level is None else level
    spread, error = comparison.spread, comparison.error
    half_width = quantile(0.975, spread.freedom) * error
    outcome = _outcome(comparison, policy, level)
    low, high = comparison.difference - half_width, comparison.difference + half_width
    return LatencyVerdict(
        outcome=outcome,
        reason=_reason(outcome, comparison, policy),
        measured_s=statistics.median(comparison.new.samples_s),
        measured_interval_s=median_interval(comparison.new.samples_s),
        baseline_s=comparison.baseline_s,
        change=math.expm1(comparison.difference),
        change_interval=(math.expm1(low), math.expm1(high)),
        smallest_visible=math.expm1(smallest_visible(error, spread.freedom, policy, level)),
        tolerance=policy.tolerance,
        basis=spread.basis,
        run_spread=math.expm1(spread.deviation),
        p_value=comparison.p_slower,
        level=level,
    )


def without_baseline(new: LatencySamples, outcome: Outcome, reason: str) -> LatencyVerdict:
    """A verdict on a run that there is nothing to hold against."""
    return LatencyVerdict(
        outcome, reason, statistics.median(new.samples_s), median_interval(new.samples_s)
    )


def _outcome(comparison: Comparison, policy: Policy, level: float) -> Outcome:
    tolerated = math.log1p(policy.tolerance)
    if comparison.difference > tolerated and comparison.p_slower <= level:
        return Outcome.REGRESSED
    if comparison.difference < -tolerated and comparison.p_faster <= level:
        return Outcome.IMPROVED
    if sees_enough(comparison, policy, level):
        return Outcome.PASSED
    return Outcome.INCONCLUSIVE


def _reason(outcome: Outcome, comparison: Comparison, policy: Policy) -> str:
    spread, runs = comparison.spread, comparison.runs
    if outcome is Outcome.IMPROVED:
        return "faster beyond doubt: make it the baseline with --perf-update"
    if outcome is Outcome.REGRESSED and not spread.observed:
        return (
            f"the baseline is one run, so the spread between runs is assumed "
            f"({policy.assumed.spread:.0%}): perfsuite record --runs 5 measures it"
        )
    if outcome is not Outcome.INCONCLUSIVE:
        return ""
    budget_s = budget_needed_s(comparison, policy)
    if budget_s is not None:
        return f"samples scatter: --perf-budget {budget_s} would settle it"
    if spread.sampling_variance > spread.deviation**2 / 2:
        recorded_s = 2 * sampling_s(comparison.new)
        return f"the recorded runs are short: perfsuite record --perf-budget {recorded_s:.0f}"
    needed = runs_needed(spread, runs, policy)
    if needed is None:
        wider = 2 * policy.tolerance
        return f"runs differ too much here for this tolerance: try --perf-tolerance {wider:.2g}"
    return f"{_of_runs(runs)} too few to settle it: perfsuite record --runs {needed}"


def _of_runs(runs: int) -> str:
    return "one baseline run is" if runs == 1 else f"{runs} baseline runs are"
