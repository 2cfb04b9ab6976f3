"""From samples and a baseline to a verdict. Pure functions: no clock, no file, no printing.

Judging has two steps. `compare` turns a run and its baseline into an estimate with its uncertainty
and p-values; `decide` turns that into a verdict at the level that the family of a session's tests
leaves to each. What a run's number is, and why runs are the unit, is in `perfsuite.judge.spread`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from scipy import special

from perfsuite.judge.outcome import Outcome
from perfsuite.judge.spread import (
    Assumption,
    Basis,
    Spread,
    log_latency,
    median_interval,
    sampling_error,
)
from perfsuite.measure.measurement import LatencySamples

POWER = 0.95
"""Probability with which the smallest visible slowdown would have been called a regression."""

_MOST_RUNS_TO_ADVISE = 30
_CURTAILED = 2.6
"""Standard errors between an early answer and the bar: 0.5 % of normal samples turn it round."""


@dataclass(frozen=True)
class Policy:
    """How strict the gate is.

    Attributes:
        tolerance: slowdown that nobody minds, as a fraction.
        false_alarm_rate: probability that *any* of a family's verdicts on unchanged code is
            `regressed`.
        family: how many verdicts are judged together.
        assumed: spread between runs before any is known.
    """

    tolerance: float = 0.05
    false_alarm_rate: float = 0.01
    family: int = 1
    assumed: Assumption = field(default_factory=Assumption)

    @property
    def level(self) -> float:
        """Level of one verdict before any other of its family is refuted."""
        return self.false_alarm_rate / self.family


@dataclass(frozen=True)
class Comparison:
    """A run held against recorded runs; log units where nothing else is said.

    Attributes:
        new: the run.
        baseline_s: latency that it was held against, seconds.
        difference: of the run's number and the mean of the recorded ones; positive is slower.
        own_error: standard error of the run's number, from the scatter of its samples.
        error: standard deviation of the difference if nothing has changed.
        spread: between recorded runs.
        runs: how many runs were recorded.
    """

    new: LatencySamples
    baseline_s: float
    difference: float
    own_error: float
    error: float
    spread: Spread
    runs: int

    @property
    def p_slower(self) -> float:
        """p-value of 'no slower than before'."""
        return float(special.stdtr(self.spread.freedom, -self.difference / self.error))

    @property
    def p_faster(self) -> float:
        """p-value of 'no faster than before'."""
        return float(special.stdtr(self.spread.freedom, self.difference / self.error))


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


def control_mismatch(new: LatencySamples, baseline: Sequence[LatencySamples]) -> str | None:
    """Why a run does not compare with recorded ones: another control; None if it does."""
    if all(run.control == new.control for run in baseline):
        return None
    other = next(run.control for run in baseline if run.control != new.control)
    return (
        f"control '{new.control}' does not compare with the baseline's '{other}': "
        "record anew with --perf-update"
    )


def compare(
    new: LatencySamples,
    baseline: Sequence[LatencySamples],
    spread: Spread,
    *,
    accepted_s: float | None = None,
) -> Comparison:
    """Hold a run against recorded runs of the same tier.

    Let d be the new run's number less the mean of the n recorded runs'. If nothing has changed,
    d / (s sqrt(1 + 1/n)) follows Student's t: the prediction interval for one further observation
    (W. Q. Meeker, G. J. Hahn, L. A. Escobar, 'Statistical Intervals', 2nd ed., 2017, section 4.8).

    Args:
        new: the run to judge.
        baseline: recorded runs of the same tier and control, at least one.
        spread: between recorded runs; its basis is the number that is compared.
        accepted_s: latency to hold against instead of the recorded one, if a person has set it.
    """
    recorded_s = statistics.median(statistics.median(run.samples_s) for run in baseline)
    baseline_s = accepted_s or recorded_s
    expected = statistics.fmean(log_latency(run, spread.basis) for run in baseline)
    expected += math.log(baseline_s / recorded_s)
    own_error = sampling_error(new, spread.basis)
    return Comparison(
        new=new,
        baseline_s=baseline_s,
        difference=log_latency(new, spread.basis) - expected,
        own_error=own_error,
        error=_prediction_error(spread, len(baseline), own_error),
        spread=spread,
        runs=len(baseline),
    )


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
    half_width = _quantile(0.975, spread.freedom) * error
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
        smallest_visible=math.expm1(_visible(error, spread.freedom, policy, level)),
        tolerance=policy.tolerance,
        basis=spread.basis,
        run_spread=math.expm1(spread.deviation),
        p_value=comparison.p_slower,
        level=level,
    )


def is_settled(comparison: Comparison, policy: Policy) -> bool:
    """Whether sampling may end before its budget: the run has passed, and more cannot change that.

    Only a pass may come early. `regressed` is said at the end of the budget and of all samples, so
    however often this is asked, it cannot raise the rate of false alarms: the event is a part of
    'the last look crosses the bar'. (A futility bound; C. Jennison, B. W. Turnbull, 'Group
    Sequential Methods with Applications to Clinical Trials', 2000, sections 4.1 and 10.2.) What an
    early pass costs is power, and it is given only where the bar is 2.6 standard errors away.
    """
    bar = _bar(comparison.error, comparison.spread.freedom, policy, policy.level)
    if _outcome(comparison, policy, policy.level) is not Outcome.PASSED:
        return False
    return abs(comparison.difference) + _CURTAILED * comparison.own_error < bar


def rounds_wanted(comparison: Comparison, policy: Policy) -> int:
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


def without_baseline(new: LatencySamples, outcome: Outcome, reason: str) -> LatencyVerdict:
    """A verdict on a run that there is nothing to hold against."""
    return LatencyVerdict(
        outcome, reason, statistics.median(new.samples_s), median_interval(new.samples_s)
    )


def _quantile(probability: float, freedom: float) -> float:
    """Of Student's t."""
    return float(special.stdtrit(freedom, probability))


def _prediction_error(spread: Spread, runs: int, own_error: float = 0.0) -> float:
    """Standard deviation of a new run's difference from the mean of recorded ones.

    A new run whose samples scatter more than those of the recorded runs is less certain by as much.
    """
    excess = max(0.0, own_error**2 - spread.sampling_variance)
    return math.sqrt(spread.deviation**2 * (1 + 1 / runs) + excess)


def _affordable_error(spread: Spread, runs: int, policy: Policy) -> float | None:
    """The largest standard error within a run with which twice the tolerance is still visible.

    None if not even a run without scatter could see it: runs differ too much, or are too few.
    """
    wanted = math.log1p(2 * policy.tolerance)
    power = _quantile(POWER, spread.freedom)
    critical = _quantile(1 - policy.level, spread.freedom)
    largest = min(wanted / (critical + power), (wanted - math.log1p(policy.tolerance)) / power)
    spare = largest**2 - spread.deviation**2 * (1 + 1 / runs)
    return None if spare < 0 else math.sqrt(spare + spread.sampling_variance)


def _bar(error: float, freedom: float, policy: Policy, level: float) -> float:
    """Log slowdown above which a run is called a regression."""
    return max(math.log1p(policy.tolerance), _quantile(1 - level, freedom) * error)


def _visible(error: float, freedom: float, policy: Policy, level: float) -> float:
    """Log slowdown that is called a regression with probability `POWER`."""
    return _bar(error, freedom, policy, level) + _quantile(POWER, freedom) * error


def _outcome(comparison: Comparison, policy: Policy, level: float) -> Outcome:
    tolerated = math.log1p(policy.tolerance)
    if comparison.difference > tolerated and comparison.p_slower <= level:
        return Outcome.REGRESSED
    if comparison.difference < -tolerated and comparison.p_faster <= level:
        return Outcome.IMPROVED
    visible = _visible(comparison.error, comparison.spread.freedom, policy, level)
    if visible <= math.log1p(2 * policy.tolerance):
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
    budget_s = _budget_needed(comparison, policy)
    if budget_s is not None:
        return f"samples scatter: --perf-budget {budget_s} would settle it"
    if spread.sampling_variance > spread.deviation**2 / 2:
        recorded_s = 2 * _sampling_s(comparison.new)
        return f"the recorded runs are short: perfsuite record --perf-budget {recorded_s:.0f}"
    needed = _runs_needed(spread, runs, policy)
    if needed is None:
        wider = 2 * policy.tolerance
        return f"runs differ too much here for this tolerance: try --perf-tolerance {wider:.2g}"
    return f"{_of_runs(runs)} too few to settle it: perfsuite record --runs {needed}"


def _budget_needed(comparison: Comparison, policy: Policy) -> int | None:
    """Seconds of sampling that would make the verdict `passed`; None if none would."""
    affordable = _affordable_error(comparison.spread, comparison.runs, policy)
    if affordable is None or affordable == 0 or comparison.own_error <= affordable:
        return None
    more = (comparison.own_error / affordable) ** 2
    return math.ceil(more * _sampling_s(comparison.new))


def _sampling_s(run: LatencySamples) -> float:
    return sum(run.samples_s) + sum(run.control_s)


def _of_runs(runs: int) -> str:
    return "one baseline run is" if runs == 1 else f"{runs} baseline runs are"


def _runs_needed(spread: Spread, runs: int, policy: Policy) -> int | None:
    """Baseline runs with which a slowdown of twice the tolerance would be seen, at this spread."""
    wanted = math.log1p(2 * policy.tolerance)
    for needed in range(max(runs + 1, 5), _MOST_RUNS_TO_ADVISE + 1):
        freedom = spread.freedom + (needed - runs) * policy.family
        error = _prediction_error(spread, needed)
        if _visible(error, freedom, policy, policy.level) <= wanted:
            return needed
    return None
