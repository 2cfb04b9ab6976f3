"""A run held against recorded runs: the estimate, its uncertainty, and how strict to be with it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

from perfsuite.judge.variance import Spread, log_latency, sampling_error
from perfsuite.results.samples import LatencySamples


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
        return float(special.stdtr(self.spread.degrees_of_freedom, -self.difference / self.error))

    @property
    def p_faster(self) -> float:
        """p-value of 'no faster than before'."""
        return float(special.stdtr(self.spread.degrees_of_freedom, self.difference / self.error))


def probe_mismatch(new: LatencySamples, baseline: Sequence[LatencySamples]) -> str | None:
    """Why a run does not compare with recorded ones: another probe; None if it does."""
    if all(run.probe == new.probe for run in baseline):
        return None
    other = next(run.probe for run in baseline if run.probe != new.probe)
    return (
        f"probe '{new.probe}' does not compare with the baseline's '{other}': "
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
        baseline: recorded runs of the same tier and probe, at least one.
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
        error=prediction_error(spread, len(baseline), own_error),
        spread=spread,
        runs=len(baseline),
    )


def prediction_error(spread: Spread, runs: int, own_error: float = 0.0) -> float:
    """Standard deviation of a new run's difference from the mean of recorded ones.

    A new run whose samples scatter more than those of the recorded runs is less certain by as much.
    """
    excess = max(0.0, own_error**2 - spread.sampling_variance)
    return math.sqrt(spread.deviation**2 * (1 + 1 / runs) + excess)
