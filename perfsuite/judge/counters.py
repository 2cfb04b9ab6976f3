"""What is judged of two arms beside latency: memory, compilation, counters and images. Pure.

Each of these is known once per start of a arm, not once per image, so none has samples enough for
an interval of its own. What scatters (compile time) is held against a spread that is assumed and
stated; what hardly scatters (memory) has to be larger in every start; what does not scatter at all
(counters) has to be equal.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from scipy import stats

from perfsuite.results.images import QualityVerdict, Thresholds
from perfsuite.results.verdict import Metric, MetricVerdict, Outcome

COMPILE_TOLERANCE = 0.25
"""Longer compilation that nobody minds, as a fraction."""
COMPILE_SPREAD = 0.1
"""Standard deviation of the log of one compile time, assumed: it is one sample per start."""
MEMORY_GRAIN_BYTES = 16 << 20
"""A difference in peak memory below this is the allocator's."""

_GRAVITY = (
    Outcome.PASSED,
    Outcome.IMPROVED,
    Outcome.INCONCLUSIVE,
    Outcome.INVALID,
    Outcome.REGRESSED,
)
"""From the lightest verdict to the gravest."""


def gravest(outcomes: Iterable[Outcome]) -> Outcome | None:
    """The gravest of some verdicts; None if there is none."""
    return max(outcomes, key=_GRAVITY.index, default=None)


def judge_memory(
    control: Sequence[int | None], treatment: Sequence[int | None], tolerance: float
) -> MetricVerdict:
    """Hold peak memory of every start of one arm against every start of the other.

    `regressed`: the medians differ by more than the tolerance and `MEMORY_GRAIN_BYTES`, and the
    treatment's smallest peak is above the control's largest.

    Args:
        control: bytes, one for each start; None where they could not be measured.
        treatment: the same.
        tolerance: growth that nobody minds, as a fraction.
    """
    before = [value for value in control if value is not None]
    after = [value for value in treatment if value is not None]
    if not before or not after:
        return MetricVerdict(Metric.MEMORY, Outcome.INCONCLUSIVE, "peak memory is not known here")
    old, new = statistics.median(before), statistics.median(after)
    grain = max(tolerance * old, MEMORY_GRAIN_BYTES)
    if new - old > grain and min(after) > max(before):
        outcome = Outcome.REGRESSED
    elif old - new > grain and max(after) < min(before):
        outcome = Outcome.IMPROVED
    else:
        outcome = Outcome.PASSED
    return MetricVerdict(Metric.MEMORY, outcome, "", old, new, new / old - 1)


def judge_compile(
    metric: Metric, control_s: Sequence[float], treatment_s: Sequence[float], alpha: float
) -> MetricVerdict:
    """Hold compile times of one arm against those of the other.

    `regressed`: the geometric means differ by more than `COMPILE_TOLERANCE`, and a z-test with the
    assumed `COMPILE_SPREAD` refutes 'no longer than before' at the alpha.

    Args:
        metric: cold or warm.
        control_s: seconds, one for each start, at least one.
        treatment_s: the same.
        alpha: false-alarm rate of this verdict.
    """
    old, new = statistics.geometric_mean(control_s), statistics.geometric_mean(treatment_s)
    error = COMPILE_SPREAD * math.sqrt(1 / len(control_s) + 1 / len(treatment_s))
    threshold = max(math.log1p(COMPILE_TOLERANCE), float(stats.norm.isf(alpha)) * error)
    difference = math.log(new / old)
    half_width = float(stats.norm.ppf(0.975)) * error
    if abs(difference) <= threshold:
        outcome = Outcome.PASSED
    else:
        outcome = Outcome.REGRESSED if difference > 0 else Outcome.IMPROVED
    return MetricVerdict(
        metric,
        outcome,
        "",
        old,
        new,
        math.expm1(difference),
        (math.expm1(difference - half_width), math.expm1(difference + half_width)),
        math.expm1(threshold + float(stats.norm.ppf(0.95)) * error),
    )


def judge_count(metric: Metric, control: Sequence[int], treatment: Sequence[int]) -> MetricVerdict:
    """Hold the largest count of one arm's starts against that of the other's."""
    old, new = max(control), max(treatment)
    if new == old:
        return MetricVerdict(metric, Outcome.PASSED, "", old, new)
    outcome = Outcome.REGRESSED if new > old else Outcome.IMPROVED
    return MetricVerdict(metric, outcome, f"{metric.value}: {old} before, {new} now", old, new)


def judge_references(control: QualityVerdict, treatment: QualityVerdict) -> MetricVerdict:
    """Images of both arms against fp32; what the control fails, the treatment is not blamed for.

    `invalid`: the control's own images are not what they should be.
    """
    old, new = control.worst.ssim, treatment.worst.ssim
    if control.outcome is not Outcome.PASSED:
        reason = f"the control's own images are at fault: {control.reason}"
        return MetricVerdict(Metric.IMAGES, Outcome.INVALID, reason, old, new)
    reason = "" if treatment.outcome is Outcome.PASSED else f"images: {treatment.reason}"
    return MetricVerdict(Metric.IMAGES, treatment.outcome, reason, old, new)


def judge_same_images(verdict: QualityVerdict) -> MetricVerdict:
    """Images of the treatment against the control's."""
    failed = verdict.outcome is not Outcome.PASSED
    reason = f"images against the control's: {verdict.reason}" if failed else ""
    return MetricVerdict(Metric.SAME_IMAGES, verdict.outcome, reason, treatment=verdict.worst.ssim)


def between_arms(thresholds: Thresholds) -> Thresholds:
    """What two arms have to be to each other, if each may be `thresholds` away from fp32.

    Rounding differs between versions, so the errors of the two arms are independent and their
    squares add up: twice the mean squared error, which is 3 dB, and twice the distance of SSIM and
    cosine from 1.
    """
    half_power_db = 10 * math.log10(2)
    loosened: dict[str, Any] = {
        name: value - half_power_db if name.endswith("_db") else 1 - 2 * (1 - value)
        for name, value in vars(thresholds).items()
        if isinstance(value, float)
    }
    return replace(
        thresholds, source=f"twice the error that fp32 allows: {thresholds.source}", **loosened
    )
