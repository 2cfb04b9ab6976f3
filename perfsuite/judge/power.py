"""What a verdict can see, and what it would take to see more: the gate's power calculation."""

from __future__ import annotations

import math

from perfsuite.judge.baseline import BaselineComparison
from perfsuite.judge.comparison import quantile
from perfsuite.judge.variance import Spread, prediction_error
from perfsuite.results.policy import Policy
from perfsuite.results.samples import LatencySamples

POWER = 0.95
"""Probability with which the smallest visible slowdown would have been called a regression."""

_MOST_RUNS_TO_ADVISE = 30
_CURTAILED = 2.6
"""Standard errors between an early answer and the threshold: 0.5 % of normal samples turn it
round."""


def regression_threshold(
    error: float, degrees_of_freedom: float, policy: Policy, alpha: float
) -> float:
    """Log slowdown above which a run is called a regression."""
    return max(math.log1p(policy.tolerance), quantile(1 - alpha, degrees_of_freedom) * error)


def minimum_detectable_effect(
    error: float, degrees_of_freedom: float, policy: Policy, alpha: float
) -> float:
    """Log slowdown that is called a regression with probability `POWER`."""
    return (
        regression_threshold(error, degrees_of_freedom, policy, alpha)
        + quantile(POWER, degrees_of_freedom) * error
    )


def sees_enough(comparison: BaselineComparison, policy: Policy, alpha: float) -> bool:
    """Whether a slowdown of twice the tolerance would have been called a regression."""
    visible = minimum_detectable_effect(
        comparison.error, comparison.degrees_of_freedom, policy, alpha
    )
    return visible <= math.log1p(2 * policy.tolerance)


def is_settled(comparison: BaselineComparison, policy: Policy) -> bool:
    """Whether sampling may end before its budget: the run has passed, and more cannot change that.

    Only a pass may come early. `regressed` is said at the end of the budget and of all samples, so
    however often this is asked, it cannot raise the rate of false alarms: the event is a part of
    'the last look crosses the threshold'. (A futility bound; C. Jennison, B. W. Turnbull, 'Group
    Sequential Methods with Applications to Clinical Trials', 2000, sections 4.1 and 10.2.) What an
    early pass costs is power, and it is given only where the threshold is 2.6 standard errors away.
    """
    if not sees_enough(comparison, policy, policy.alpha):
        return False
    threshold = regression_threshold(
        comparison.error, comparison.degrees_of_freedom, policy, policy.alpha
    )
    return abs(comparison.estimate) + _CURTAILED * comparison.own_error < threshold


def rounds_wanted(comparison: BaselineComparison, policy: Policy) -> int:
    """How many samples the run should have in all, from those that it has.

    As many as there are if the answer is settled; else as many as `wanted_error` takes at the
    scatter seen so far; else twice as many, since the answer is still open.
    """
    taken = len(comparison.new.samples_s)
    if is_settled(comparison, policy):
        return taken
    wanted = wanted_error(comparison.spread, comparison.runs, policy)
    needed = math.ceil(taken * (comparison.own_error / wanted) ** 2) if wanted else taken
    return needed if needed > taken else 2 * taken


def wanted_error(spread: Spread, runs: int, policy: Policy) -> float:
    """Standard error within a run that its sampling aims at, in units of log latency.

    The largest with which the verdict can be `passed`; where none can, that of the recorded runs:
    being surer than they are gains nothing.
    """
    affordable = _affordable_error(spread, runs, policy)
    return math.sqrt(spread.sampling_variance) if affordable is None else affordable


def runs_needed(spread: Spread, runs: int, policy: Policy) -> int | None:
    """Baseline runs with which a slowdown of twice the tolerance would be seen, at this spread."""
    wanted = math.log1p(2 * policy.tolerance)
    for needed in range(max(runs + 1, 5), _MOST_RUNS_TO_ADVISE + 1):
        degrees_of_freedom = spread.degrees_of_freedom + (needed - runs) * policy.multiplicity
        error = prediction_error(spread, needed)
        if minimum_detectable_effect(error, degrees_of_freedom, policy, policy.alpha) <= wanted:
            return needed
    return None


def budget_needed_s(comparison: BaselineComparison, policy: Policy) -> int | None:
    """Seconds of sampling that would make the verdict `passed`; None if none would."""
    affordable = _affordable_error(comparison.spread, comparison.runs, policy)
    if affordable is None or affordable == 0 or comparison.own_error <= affordable:
        return None
    more = (comparison.own_error / affordable) ** 2
    return math.ceil(more * sampling_s(comparison.new))


def sampling_s(run: LatencySamples) -> float:
    """Seconds that a run's samples and probes took."""
    return sum(run.samples_s) + sum(run.probe_s)


def _affordable_error(spread: Spread, runs: int, policy: Policy) -> float | None:
    """The largest standard error within a run with which twice the tolerance is still visible.

    None if not even a run without scatter could see it: runs differ too much, or are too few.
    """
    wanted = math.log1p(2 * policy.tolerance)
    power = quantile(POWER, spread.degrees_of_freedom)
    critical = quantile(1 - policy.alpha, spread.degrees_of_freedom)
    largest = min(wanted / (critical + power), (wanted - math.log1p(policy.tolerance)) / power)
    spare = largest**2 - spread.deviation**2 * (1 + 1 / runs)
    return None if spare < 0 else math.sqrt(spare + spread.sampling_variance)
