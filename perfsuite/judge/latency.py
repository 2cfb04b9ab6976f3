"""From a comparison with a baseline to a verdict. Pure functions."""

from __future__ import annotations

import math
import statistics

from perfsuite.judge.baseline import BaselineComparison
from perfsuite.judge.power import (
    budget_needed_s,
    minimum_detectable_effect,
    runs_needed,
    sampling_s,
    sees_enough,
)
from perfsuite.judge.variance import median_interval
from perfsuite.results.policy import Policy
from perfsuite.results.reasons import (
    AssumedSpread,
    FasterThanBaseline,
    Reason,
    RunsDiffer,
    SamplesScatter,
    ShortBaselineRuns,
    TooFewRuns,
)
from perfsuite.results.samples import LatencySamples
from perfsuite.results.verdict import Metric, Outcome, Verdict


def decide(
    comparison: BaselineComparison, policy: Policy, *, alpha: float | None = None
) -> Verdict:
    """The verdict on a comparison.

    - `regressed`: slower by more than the tolerance, and 'no slower than before' is refuted at
      alpha (one-sided).
    - `improved`: the same, downwards.
    - `passed`: neither, and a slowdown of twice the tolerance would have been called a regression
      with 95 % power.
    - `inconclusive`: neither, and it would not.

    Args:
        comparison: from `perfsuite.judge.baseline.compare`.
        policy: how strict to be.
        alpha: of the test, from `perfsuite.judge.multiplicity.holm_alpha`; None for the policy's.
    """
    alpha = policy.alpha if alpha is None else alpha
    outcome = _outcome(comparison, policy, alpha)
    low, high = comparison.interval(0.025)
    visible = minimum_detectable_effect(
        comparison.error, comparison.degrees_of_freedom, policy, alpha
    )
    return Verdict(
        Metric.LATENCY,
        outcome,
        _reasons(outcome, comparison, policy),
        measured=statistics.median(comparison.new.samples_s),
        measured_interval=median_interval(comparison.new.samples_s),
        expected=comparison.baseline_s,
        change=math.expm1(comparison.estimate),
        change_interval=(math.expm1(low), math.expm1(high)),
        minimum_detectable_effect=math.expm1(visible),
        tolerance=policy.tolerance,
        basis=comparison.spread.basis,
        run_spread=math.expm1(comparison.spread.deviation),
        p_value=comparison.p_slower,
        alpha=alpha,
    )


def without_baseline(new: LatencySamples, outcome: Outcome, *reasons: Reason) -> Verdict:
    """A verdict on a run that there is nothing to hold against."""
    return Verdict(
        Metric.LATENCY,
        outcome,
        reasons,
        measured=statistics.median(new.samples_s),
        measured_interval=median_interval(new.samples_s),
    )


def _outcome(comparison: BaselineComparison, policy: Policy, alpha: float) -> Outcome:
    tolerated = math.log1p(policy.tolerance)
    if comparison.estimate > tolerated and comparison.p_slower <= alpha:
        return Outcome.REGRESSED
    if comparison.estimate < -tolerated and comparison.p_faster <= alpha:
        return Outcome.IMPROVED
    if sees_enough(comparison, policy, alpha):
        return Outcome.PASSED
    return Outcome.INCONCLUSIVE


def _reasons(
    outcome: Outcome, comparison: BaselineComparison, policy: Policy
) -> tuple[Reason, ...]:
    if outcome is Outcome.IMPROVED:
        return (FasterThanBaseline(),)
    if outcome is Outcome.REGRESSED and not comparison.spread.observed:
        return (AssumedSpread(policy.assumed.spread),)
    if outcome is Outcome.INCONCLUSIVE:
        return (_what_would_settle(comparison, policy),)
    return ()


def _what_would_settle(comparison: BaselineComparison, policy: Policy) -> Reason:
    spread, runs = comparison.spread, comparison.runs
    budget_s = budget_needed_s(comparison, policy)
    if budget_s is not None:
        return SamplesScatter(budget_s)
    if spread.sampling_variance > spread.deviation**2 / 2:
        return ShortBaselineRuns(round(2 * sampling_s(comparison.new)))
    needed = runs_needed(spread, runs, policy)
    if needed is None:
        return RunsDiffer(policy.tolerance)
    return TooFewRuns(runs, needed)
