"""From samples and a baseline to a verdict. Pure functions: no clock, no file, no printing.

The unit of noise is the run. Two runs of the same code differ more than the samples within either,
so a test on the pooled samples of two runs finds 'significant' differences that are none. What is
judged is therefore one number per run, the median over its samples of log(tier / control), and its
deviation is held against the spread of that number *between* recorded runs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from perfsuite.judge.outcome import Outcome
from perfsuite.measure.measurement import LatencySamples

POWER = 0.95
"""Probability with which the smallest visible slowdown would have been called a regression."""

_MOST_RUNS_TO_ADVISE = 30


@dataclass(frozen=True)
class Policy:
    """How strict the gate is.

    Attributes:
        tolerance: slowdown that nobody minds, as a fraction.
        false_alarm_rate: probability that *any* of a family's verdicts on unchanged code is
            `regressed`.
        family: how many verdicts are judged together; each gets its share of the rate (Bonferroni).
        assumed_spread: standard deviation between runs of log(tier / control) that is assumed
            before any is known.
        assumed_weight: how many observed degrees of freedom that assumption counts for.
    """

    tolerance: float = 0.05
    false_alarm_rate: float = 0.01
    family: int = 1
    assumed_spread: float = 0.02
    assumed_weight: int = 4

    @property
    def level(self) -> float:
        """False-alarm rate of one verdict."""
        return self.false_alarm_rate / self.family


@dataclass(frozen=True)
class Spread:
    """Standard deviation between runs, in units of log latency, and what it is known from.

    Attributes:
        deviation: standard deviation of one run, its sampling error included.
        freedom: degrees of freedom of that estimate.
        sampling_variance: mean squared sampling error of the runs that it was estimated from.
    """

    deviation: float
    freedom: float
    sampling_variance: float


@dataclass(frozen=True)
class LatencyVerdict:
    """A verdict with all that it rests on; None where there was nothing to compute it from.

    Attributes:
        outcome: what it says.
        reason: one line for people.
        measured_s: median latency, seconds.
        measured_interval_s: 95 % interval of that median within this run, seconds.
        baseline_s: latency that it was held against, seconds.
        change: control-normalised slowdown, as a fraction; negative is faster.
        change_interval: 95 % prediction interval of the change, as fractions.
        smallest_visible: slowdown that would have been called a regression with 95 % power.
        tolerance: from the policy.
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


def normalised_latency(run: LatencySamples) -> float:
    """Median over a run's samples of log(tier / control); dimensionless."""
    return statistics.median(_log_ratios(run))


def _log_ratios(run: LatencySamples) -> list[float]:
    return [
        math.log(sample / control)
        for sample, control in zip(run.samples_s, run.control_s, strict=True)
    ]


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """Distribution-free 95 % interval of a median, from order statistics.

    Five samples or fewer cannot bear 95 %: their whole range is given.

    W. J. Conover, 'Practical Nonparametric Statistics', 3rd ed., 1999, section 3.2, as scipy has
    it.
    """
    if len(samples) < 6:
        return min(samples), max(samples)
    interval: Any = stats.quantile_test(samples, p=0.5).confidence_interval(0.95)
    return float(interval.low), float(interval.high)


def sampling_error(run: LatencySamples) -> float:
    """Standard error of `normalised_latency` within a run, in units of log latency.

    From the median absolute deviation, for near-normal samples:
    sqrt(pi / 2) * 1.4826 * MAD / sqrt(n) (P. J. Huber, E. M. Ronchetti, 'Robust Statistics',
    2nd ed., 2009, sections 1.2 and 5.1).
    """
    logs = _log_ratios(run)
    centre = statistics.median(logs)
    spread = 1.4826 * statistics.median(abs(value - centre) for value in logs)
    return math.sqrt(math.pi / 2) * spread / math.sqrt(len(logs))


def between_run_spread(tiers: Iterable[Sequence[LatencySamples]], policy: Policy) -> Spread:
    """Spread between runs, pooled over tiers and tempered by the policy's assumption.

    Each tier has few runs, so its own estimate is poor. Estimates are pooled over tiers and
    combined with the assumed spread as a scaled inverse chi-squared prior, weighted by degrees of
    freedom (G. K. Smyth, 'Linear models and empirical Bayes methods for assessing differential
    expression in microarray experiments', 2004, the moderated variance). The assumption is of
    machines; what the runs' own sampling error adds to it is known from their samples. With single
    runs only, this is all there is.
    """
    runs_of_tiers = [tuple(runs) for runs in tiers if runs]
    errors = [sampling_error(run) ** 2 for runs in runs_of_tiers for run in runs]
    sampling_variance = statistics.fmean(errors) if errors else 0.0
    squares = policy.assumed_weight * (policy.assumed_spread**2 + sampling_variance)
    freedom = float(policy.assumed_weight)
    for runs in runs_of_tiers:
        if len(runs) > 1:
            values = [normalised_latency(run) for run in runs]
            squares += statistics.variance(values) * (len(values) - 1)
            freedom += len(values) - 1
    return Spread(math.sqrt(squares / freedom), freedom, sampling_variance)


def judge_latency(
    new: LatencySamples,
    baseline: Sequence[LatencySamples],
    spread: Spread,
    policy: Policy,
    *,
    accepted_s: float | None = None,
) -> LatencyVerdict:
    """Hold a run against recorded runs of the same tier.

    Let d be the new run's normalised log latency less the mean of the n recorded runs'. If nothing
    has changed, d / (s sqrt(1 + 1/n)) follows Student's t: the prediction interval for one further
    observation (W. Q. Meeker, G. J. Hahn, L. A. Escobar, 'Statistical Intervals', 2nd ed., 2017,
    section 4.8).

    - `regressed`: d is above log(1 + tolerance), and 'no slower than before' is refuted at the
      policy's level (one-sided).
    - `improved`: the same, downwards.
    - `passed`: neither, and a slowdown of twice the tolerance would have been called a regression
      with 95 % power.
    - `inconclusive`: neither, and it would not.
    - `invalid`: the control is not the one that the baseline was recorded with.

    Args:
        new: the run to judge.
        baseline: recorded runs of the same tier, at least one.
        spread: from `between_run_spread`.
        policy: how strict to be.
        accepted_s: latency to hold against instead of the recorded one, if a person has set it.
    """
    measured_s = statistics.median(new.samples_s)
    interval_s = median_interval(new.samples_s)
    recorded_s = statistics.median(statistics.median(run.samples_s) for run in baseline)
    baseline_s = accepted_s or recorded_s
    if any(run.control != new.control for run in baseline):
        reason = (
            f"control '{new.control}' does not compare with the baseline's "
            f"'{baseline[0].control}': record anew with --perf-update"
        )
        return LatencyVerdict(Outcome.INVALID, reason, measured_s, interval_s, baseline_s)

    expected = statistics.fmean(normalised_latency(run) for run in baseline)
    expected += math.log(baseline_s / recorded_s)
    difference = normalised_latency(new) - expected
    own_error = sampling_error(new)
    error = _prediction_error(spread, len(baseline), own_error)
    bar = _bar(error, spread.freedom, policy)
    visible = _visible(error, spread.freedom, policy)
    half_width = float(stats.t.ppf(0.975, spread.freedom)) * error
    outcome = _outcome(difference, bar, visible, policy)
    return LatencyVerdict(
        outcome=outcome,
        reason=_reason(outcome, spread, len(baseline), own_error, policy),
        measured_s=measured_s,
        measured_interval_s=interval_s,
        baseline_s=baseline_s,
        change=math.expm1(difference),
        change_interval=(
            math.expm1(difference - half_width),
            math.expm1(difference + half_width),
        ),
        smallest_visible=math.expm1(visible),
        tolerance=policy.tolerance,
    )


def without_baseline(new: LatencySamples, outcome: Outcome, reason: str) -> LatencyVerdict:
    """A verdict on a run that there is nothing to hold against."""
    return LatencyVerdict(
        outcome, reason, statistics.median(new.samples_s), median_interval(new.samples_s)
    )


def _prediction_error(spread: Spread, runs: int, own_error: float = 0.0) -> float:
    """Standard deviation of a new run's difference from the mean of recorded ones.

    A new run whose samples scatter more than those of the recorded runs is less certain by as much.
    """
    excess = max(0.0, own_error**2 - spread.sampling_variance)
    return math.sqrt(spread.deviation**2 * (1 + 1 / runs) + excess)


def _bar(error: float, freedom: float, policy: Policy) -> float:
    """Log slowdown above which a run is called a regression."""
    critical = float(stats.t.ppf(1 - policy.level, freedom)) * error
    return max(math.log1p(policy.tolerance), critical)


def _visible(error: float, freedom: float, policy: Policy) -> float:
    """Log slowdown that is called a regression with probability `POWER`."""
    return _bar(error, freedom, policy) + float(stats.t.ppf(POWER, freedom)) * error


def _outcome(difference: float, bar: float, visible: float, policy: Policy) -> Outcome:
    if difference > bar:
        return Outcome.REGRESSED
    if difference < -bar:
        return Outcome.IMPROVED
    if visible <= math.log1p(2 * policy.tolerance):
        return Outcome.PASSED
    return Outcome.INCONCLUSIVE


def _reason(outcome: Outcome, spread: Spread, runs: int, own_error: float, policy: Policy) -> str:
    if outcome is Outcome.IMPROVED:
        return "faster beyond doubt: make it the baseline with --perf-update"
    if outcome is Outcome.REGRESSED and spread.freedom <= policy.assumed_weight:
        return (
            f"the baseline is one run, so the spread between runs is assumed "
            f"({policy.assumed_spread:.0%}): perfsuite record --runs 5 measures it"
        )
    if outcome is not Outcome.INCONCLUSIVE:
        return ""
    if max(own_error**2, spread.sampling_variance) > spread.deviation**2 / 2:
        return "samples scatter more than runs do: take more with --perf-budget"
    needed = _runs_needed(spread, runs, policy)
    if needed is None:
        wider = 2 * policy.tolerance
        return f"runs differ too much here for this tolerance: try --perf-tolerance {wider:.2g}"
    return f"{_of_runs(runs)} too few to settle it: perfsuite record --runs {needed}"


def _of_runs(runs: int) -> str:
    return "one baseline run is" if runs == 1 else f"{runs} baseline runs are"


def _runs_needed(spread: Spread, runs: int, policy: Policy) -> int | None:
    """Baseline runs with which a slowdown of twice the tolerance would be seen, at this spread."""
    for needed in range(max(runs + 1, 5), _MOST_RUNS_TO_ADVISE + 1):
        gained = (needed - runs) * policy.family
        error = _prediction_error(spread, needed)
        if _visible(error, spread.freedom + gained, policy) <= math.log1p(2 * policy.tolerance):
            return needed
    return None
