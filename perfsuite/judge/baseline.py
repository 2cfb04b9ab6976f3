"""A run held against recorded runs: the estimate and its uncertainty. Pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from perfsuite.judge.comparison import Comparison
from perfsuite.judge.variance import (
    Spread,
    log_latency,
    prediction_error,
    sampling_error,
)
from perfsuite.results.reasons import Incomparable
from perfsuite.results.samples import LatencySamples


@dataclass(frozen=True)
class BaselineComparison(Comparison):
    """A run held against recorded runs; log units where nothing else is said.

    Attributes:
        new: the run.
        baseline_s: latency that it was held against, seconds.
        own_error: standard error of the run's number, from the scatter of its samples.
        spread: between recorded runs.
        runs: how many runs were recorded.
    """

    new: LatencySamples
    baseline_s: float
    own_error: float
    spread: Spread
    runs: int


def mismatch(new: LatencySamples, baseline: Sequence[LatencySamples]) -> Incomparable | None:
    """What makes a run incomparable with recorded ones: another probe; None if they compare."""
    others = (run.probe for run in baseline if run.probe != new.probe)
    other = next(others, None)
    return None if other is None else Incomparable("probe", new.probe, other)


def compare(
    new: LatencySamples,
    baseline: Sequence[LatencySamples],
    spread: Spread,
    *,
    accepted_s: float | None = None,
) -> BaselineComparison:
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
    return BaselineComparison(
        new=new,
        baseline_s=baseline_s,
        estimate=log_latency(new, spread.basis) - expected,
        own_error=own_error,
        error=prediction_error(spread, len(baseline), own_error),
        degrees_of_freedom=spread.degrees_of_freedom,
        spread=spread,
        runs=len(baseline),
    )
