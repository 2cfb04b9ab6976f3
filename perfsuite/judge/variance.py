"""One number per run, and how much that number differs between runs of the same code.

The unit of noise is the run. Two runs of the same code differ more than the samples within either,
so a test on the pooled samples of two runs finds 'significant' differences that are none. What is
judged is therefore one number per run, and its deviation is held against the spread of that number
*between* recorded runs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from perfsuite.results.policy import Assumption
from perfsuite.results.samples import LatencySamples
from perfsuite.results.verdict import Basis

STEADY_RATIO = 0.5
"""Raw latency is judged where its spread between runs is at most this part of tier / probe's."""
_STEADY_DEGREES_OF_FREEDOM = 8
"""… and known from at least so many degrees of freedom."""


@dataclass(frozen=True)
class Spread:
    """Standard deviation between runs, in units of log latency, and what it is known from.

    Attributes:
        deviation: standard deviation of one run, its sampling error included.
        degrees_of_freedom: degrees of freedom of that estimate, assumed ones included.
        sampling_variance: mean squared sampling error of the runs that it was estimated from.
        observed: degrees of freedom that runs have contributed; 0 if all is assumed.
        basis: number of a run whose spread it is.
    """

    deviation: float
    degrees_of_freedom: float
    sampling_variance: float
    observed: int = 0
    basis: Basis = Basis.PROBE


def log_latency(run: LatencySamples, basis: Basis = Basis.PROBE) -> float:
    """Median over a run's samples of log(tier / probe), or of log(seconds)."""
    return statistics.median(_logs(run, basis))


def sampling_error(run: LatencySamples, basis: Basis = Basis.PROBE) -> float:
    """Standard error of `log_latency` within a run."""
    return median_error(_logs(run, basis))


def median_error(values: Sequence[float]) -> float:
    """Standard error of a median, for near-normal values.

    From the median absolute deviation: sqrt(pi / 2) * 1.4826 * MAD / sqrt(n) (P. J. Huber,
    E. M. Ronchetti, 'Robust Statistics', 2nd ed., 2009, sections 1.2 and 5.1).
    """
    centre = statistics.median(values)
    scatter = 1.4826 * statistics.median(abs(value - centre) for value in values)
    return math.sqrt(math.pi / 2) * scatter / math.sqrt(len(values))


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


def between_run_spread(
    tiers: Iterable[Sequence[LatencySamples]],
    assumed: Assumption,
    basis: Basis = Basis.PROBE,
) -> Spread:
    """Spread between runs, pooled over tiers and tempered by an assumption.

    Each tier has few runs, so its own estimate is poor. Estimates are pooled over tiers and
    combined with the assumed spread as a scaled inverse chi-squared prior, weighted by degrees of
    freedom (G. K. Smyth, 'Linear models and empirical Bayes methods for assessing
    differential
    expression in microarray experiments', 2004, the moderated variance). The assumption is of
    machines; what the runs' own sampling error adds to it is known from their samples. With single
    runs only, this is all there is.
    """
    runs_of_tiers = [tuple(runs) for runs in tiers if runs]
    errors = [sampling_error(run, basis) ** 2 for runs in runs_of_tiers for run in runs]
    sampling_variance = statistics.fmean(errors) if errors else 0.0
    squares = assumed.weight * (assumed.spread**2 + sampling_variance)
    observed = 0
    for runs in runs_of_tiers:
        if len(runs) > 1:
            values = [log_latency(run, basis) for run in runs]
            squares += statistics.variance(values) * (len(values) - 1)
            observed += len(values) - 1
    degrees_of_freedom = float(assumed.weight + observed)
    return Spread(
        math.sqrt(squares / degrees_of_freedom),
        degrees_of_freedom,
        sampling_variance,
        observed,
        basis,
    )


def prediction_error(spread: Spread, runs: int, own_error: float = 0.0) -> float:
    """Standard deviation of a new run's difference from the mean of recorded ones.

    A new run whose samples scatter more than those of the recorded runs is less certain by as much.
    """
    excess = max(0.0, own_error**2 - spread.sampling_variance)
    return math.sqrt(spread.deviation**2 * (1 + 1 / runs) + excess)


def steadier_spread(tiers: Iterable[Sequence[LatencySamples]], assumed: Assumption) -> Spread:
    """The spread of tier / probe, or of raw latency where the hardware is steady enough.

    It depends on the recorded runs alone. A choice that looked at the run to be judged would give
    chance two tries.
    """
    known = [tuple(runs) for runs in tiers]
    ratio = between_run_spread(known, assumed, Basis.PROBE)
    raw = between_run_spread(known, assumed, Basis.RAW)
    is_steady = raw.deviation <= STEADY_RATIO * ratio.deviation
    return raw if is_steady and raw.observed >= _STEADY_DEGREES_OF_FREEDOM else ratio


def _logs(run: LatencySamples, basis: Basis) -> list[float]:
    if basis is Basis.RAW:
        return [math.log(sample) for sample in run.samples_s]
    return [
        math.log(sample / probe) for sample, probe in zip(run.samples_s, run.probe_s, strict=True)
    ]
