"""From samples and a baseline to a verdict. Pure functions: no clock, no file, no printing.

Judging has two steps. `compare` (`perfsuite.judge.comparison`) turns a run and its baseline into an
estimate with its uncertainty and p-values; `decide` turns that into a verdict at the alpha that the
family of a session's tests leaves to each. What a run's number is, and why runs are the unit, is in
`perfsuite.judge.variance`; how small a slowdown can be seen, in `perfsuite.judge.power`.
"""

from __future__ import annotations

import math
import statistics

from perfsuite.judge.comparison import Comparison
from perfsuite.judge.power import (
    budget_needed_s,
    minimum_detectable_effect,
    quantile,
    runs_needed,
    sampling_s,
    sees_enough,
)
from perfsuite.judge.variance import median_interval
from perfsuite.results.policy import Policy
from perfsuite.results.samples import LatencySamples
from perfsuite.results.verdict import LatencyVerdict, Outcome


def decide(comparison: Comparison, policy: Policy, *, alpha: float | None = None) -> LatencyVerdict:
    """The verdict on a comparison.

    - `regressed`: slower by more than the tolerance, and 'no slower than before' is refuted at the
      alpha (one-sided).
    - `improved`: the same, downwards.
    - `passed`: neither, and a slowdown of twice the tolerance would have been called a regression
      with 95 % power.
    - `inconclusive`: neither, and it would not.

    Args:
        comparison: from `compare`.
        policy: how strict to be.
        alpha: of the test, from `perfsuite.judge.multiplicity.holm_alpha`; the policy's if left
        out.
    """
    alpha = policy.alpha if alpha is None else alpha
    spread, error = comparison.spread, comparison.error
    half_width = quantile(0.975, spread.degrees_of_freedom) * error
    outcome = _outcome(comparison, policy, alpha)
    low, high = comparison.difference - half_width, comparison.difference + half_width
    return LatencyVerdict(
        outcome=outcome,
        reason=_reason(outcome, comparison, policy),
        measured_s=statistics.median(comparison.new.samples_s),
        measured_interval_s=median_interval(comparison.new.samples_s),
        baseline_s=comparison.baseline_s,
        change=math.expm1(comparison.difference),
        change_interval=(math.expm1(low), math.expm1(high)),
        minimum_detectable_effect=math.expm1(
            minimum_detectable_effect(error, spread.degrees_of_freedom, policy, alpha)
        ),
        tolerance=policy.tolerance,
        basis=spread.basis,
        run_spread=math.expm1(spread.deviation),
        p_value=comparison.p_slower,
        alpha=alpha,
    )


def without_baseline(new: LatencySamples, outcome: Outcome, reason: str) -> LatencyVerdict:
    """A verdict on a run that there is nothing to hold against."""
    return LatencyVerdict(
        outcome, reason, statistics.median(new.samples_s), median_interval(new.samples_s)
    )


def _outcome(comparison: Comparison, policy: Policy, alpha: float) -> Outcome:
    tolerated = math.log1p(policy.tolerance)
    if comparison.difference > tolerated and comparison.p_slower <= alpha:
        return Outcome.REGRESSED
    if comparison.difference < -tolerated and comparison.p_faster <= alpha:
        return Outcome.IMPROVED
    if sees_enough(comparison, policy, alpha):
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
