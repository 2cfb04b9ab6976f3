"""From samples of two live arms, taken turn and turn about, to a verdict. Pure functions.

Both arms are processes on one machine, and each sample of one has its neighbour of the other, so
what the machine does falls out of log(treatment / control). What does not fall out is the process
itself: two starts of the same code differ for as long as they live (memory layout, hash seeds). So
arms are started several times, in *blocks*. A block yields one number, the median of its log
ratios; its samples say how exactly it is known, and the blocks together how much starts differ.

Looking often finds something sooner or later. There are a few looks, fixed beforehand, one after
each block from the second on, and each has its equal share of the false-alarm rate. By the union
bound the shares add up to no more than the rate, whatever the looks have in common. (Lan and DeMets
would be sharper, but needs the joint distribution of the looks, which is known for normal samples
of known variance only.) The same holds between tests of a family: Bonferroni, since Holm needs all
p-values before it can say at which alpha the first test may stop.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from perfsuite.judge.comparison import Comparison, quantile
from perfsuite.judge.power import POWER
from perfsuite.judge.variance import median_error
from perfsuite.results.policy import PairedPolicy
from perfsuite.results.reasons import MorePairs, Reason, RunsDiffer
from perfsuite.results.verdict import Metric, Outcome, Verdict

_MAD_EFFICIENCY = 0.37
"""Of the median absolute deviation as an estimate of a normal spread: n samples know as much as
0.37 n do with the standard deviation."""


@dataclass(frozen=True)
class Block:
    """Samples of one start of both arms, in seconds per image, in the order of their pairs.

    Attributes:
        control_s: the control's.
        treatment_s: the treatment's; if interleaved, each the neighbour of one of the control's.
        interleaved: whether the arms took turns; otherwise one followed the other.

    Raises:
        ValueError: no samples, not as many of both, or one that is not a positive number.
    """

    control_s: tuple[float, ...]
    treatment_s: tuple[float, ...]
    interleaved: bool = True

    def __post_init__(self) -> None:
        if not self.control_s or not self.treatment_s:
            raise ValueError("no samples")
        if self.interleaved and len(self.control_s) != len(self.treatment_s):
            raise ValueError(f"{len(self.control_s)} samples with {len(self.treatment_s)}")
        for value in (*self.control_s, *self.treatment_s):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"a sample of {value} s is not a latency")

    @property
    def effect(self) -> float:
        """Median of log(treatment / control); of arms in turn, the difference of their medians."""
        return sum(statistics.median(logs) for logs in self._logs())

    @property
    def variance(self) -> float:
        """Squared standard error of `effect`, from the scatter of the samples."""
        return sum(median_error(logs) ** 2 for logs in self._logs())

    @property
    def degrees_of_freedom(self) -> float:
        """Degrees of freedom of `variance`."""
        return sum(max(1.0, _MAD_EFFICIENCY * (len(logs) - 1)) for logs in self._logs())

    def _logs(self) -> tuple[list[float], ...]:
        """What medians are taken of: paired ratios, or each arm's own samples."""
        control = [math.log(value) for value in self.control_s]
        treatment = [math.log(value) for value in self.treatment_s]
        if self.interleaved:
            return ([new - old for old, new in zip(control, treatment, strict=True)],)
        return treatment, [-value for value in control]


@dataclass(frozen=True)
class PairedComparison(Comparison):
    """What the blocks so far say: the mean of their effects.

    Attributes:
        process_variance: the part of `error` squared that longer blocks would not make smaller.
    """

    process_variance: float


def compare(blocks: Sequence[Block], policy: PairedPolicy) -> PairedComparison:
    """Join the blocks.

    The error has two parts. *Within* blocks: the mean of the blocks' own variances. *Between*
    starts: what the effects of the blocks vary beyond that, tempered by the policy's assumption as
    a scaled inverse chi-squared prior (G. K. Smyth, 'Linear models and empirical Bayes methods for
    assessing differential expression in microarray experiments', 2004). The sum has as many degrees
    of degrees_of_freedom as Satterthwaite's approximation gives it (F. E. Satterthwaite,
    Biometrics Bulletin
    2 (6), 1946).

    Args:
        blocks: at least one.
        policy: holds the assumption.
    """
    count = len(blocks)
    effects = [block.effect for block in blocks]
    within = statistics.fmean(block.variance for block in blocks)
    excess = max(0.0, statistics.variance(effects) - within) if count > 1 else 0.0
    process_degrees_of_freedom = policy.process_weight + count - 1
    process = policy.process_weight * policy.process_spread**2 + (count - 1) * excess
    process /= process_degrees_of_freedom
    parts = [(block.variance / count**2, block.degrees_of_freedom) for block in blocks]
    parts.append((process / count, float(process_degrees_of_freedom)))
    squared = sum(variance for variance, _ in parts)
    degrees_of_freedom = squared**2 / sum(variance**2 / known for variance, known in parts)
    return PairedComparison(
        statistics.fmean(effects), math.sqrt(squared), degrees_of_freedom, process / count
    )


def is_settled(comparison: PairedComparison, policy: PairedPolicy) -> bool:
    """Whether the question is answered: the look's interval does not hold the tolerance."""
    low, high = comparison.interval(policy.look_alpha)
    return not low <= policy.threshold <= high


def judge_paired(blocks: Sequence[Block], policy: PairedPolicy, spent_s: float) -> Verdict:
    """The verdict on what the blocks say.

    - `regressed`: slower by more than the tolerance, and 'no slower than the control' is refuted at
      the look's alpha (one-sided).
    - `improved`: the same, downwards.
    - `passed`: neither, and 'slower by the tolerance' is refuted, or no such slowdown is estimated
      and one of twice the tolerance would have been called a regression with 95 % power.
    - `inconclusive`: none of these.

    Args:
        blocks: at least one.
        policy: how strict to be.
        spent_s: seconds of sampling that the blocks took, to say how many more would settle it.
    """
    found = compare(blocks, policy)
    low, high = found.interval(policy.look_alpha)
    outer = found.interval(0.025)
    visible = _visible(found, policy)
    if found.estimate > policy.threshold and low > 0:
        outcome = Outcome.REGRESSED
    elif found.estimate < -policy.threshold and high < 0:
        outcome = Outcome.IMPROVED
    elif high < policy.threshold or (
        found.estimate <= policy.threshold and visible <= _twice(policy)
    ):
        outcome = Outcome.PASSED
    else:
        outcome = Outcome.INCONCLUSIVE
    reasons = (_advice(found, policy, spent_s),) if outcome is Outcome.INCONCLUSIVE else ()
    return Verdict(
        Metric.LATENCY,
        outcome,
        reasons,
        measured=statistics.median(value for block in blocks for value in block.treatment_s),
        expected=statistics.median(value for block in blocks for value in block.control_s),
        change=math.expm1(found.estimate),
        change_interval=(math.expm1(outer[0]), math.expm1(outer[1])),
        minimum_detectable_effect=math.expm1(visible),
        tolerance=policy.tolerance,
        alpha=policy.look_alpha,
    )


def seconds_to_settle(
    comparison: PairedComparison, policy: PairedPolicy, spent_s: float
) -> float | None:
    """Seconds of further sampling with which a slowdown of twice the tolerance would be seen.

    Returns:
        None if starts differ so much that no number of samples would do.
    """
    aim = _twice(policy)
    critical = quantile(1 - policy.look_alpha, comparison.degrees_of_freedom)
    power = quantile(POWER, comparison.degrees_of_freedom)
    needed = min((aim - policy.threshold) / power, aim / (critical + power))
    within = comparison.error**2 - comparison.process_variance
    allowed = needed**2 - comparison.process_variance
    if allowed <= 0:
        return None
    return spent_s * max(0.0, within / allowed - 1)


def _visible(comparison: PairedComparison, policy: PairedPolicy) -> float:
    """Log slowdown that this look calls a regression with probability `POWER`."""
    critical = quantile(1 - policy.look_alpha, comparison.degrees_of_freedom) * comparison.error
    power = quantile(POWER, comparison.degrees_of_freedom) * comparison.error
    return max(policy.threshold, critical) + power


def _twice(policy: PairedPolicy) -> float:
    return math.log1p(2 * policy.tolerance)


def _advice(comparison: PairedComparison, policy: PairedPolicy, spent_s: float) -> Reason:
    more_s = seconds_to_settle(comparison, policy, spent_s)
    if more_s is None:
        return RunsDiffer(policy.tolerance, "starts")
    return MorePairs(more_s, math.ceil(spent_s + more_s))
