"""What is judged of two arms beside latency: memory, compilation, counters and images. Pure.

Each of these is known once per start of an arm, not once per image, so none has samples enough for
an interval of its own. What scatters (compile time) is held against a spread that is assumed and
stated; what hardly scatters (memory) has to be larger in every start; what does not scatter at all
(counters) has to be equal.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scipy import stats

from perfsuite.results.images import Thresholds
from perfsuite.results.picture_reasons import (
    AgainstControl,
    ControlAtFault,
    ImageFaults,
    NothingChecked,
    ThresholdsMissed,
)
from perfsuite.results.reasons import CountChanged, MemoryUnknown, Reason
from perfsuite.results.verdict import Metric, Outcome, Verdict

COMPILE_TOLERANCE = 0.25
"""Longer compilation that nobody minds, as a fraction."""
COMPILE_SPREAD = 0.1
"""Standard deviation of the log of one compile time, assumed: it is one sample per start."""
MEMORY_GRAIN_BYTES = 16 << 20
"""A difference in peak memory below this is the allocator's."""


def judge_memory(
    control: Sequence[int | None], treatment: Sequence[int | None], tolerance: float
) -> Verdict:
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
        return Verdict(Metric.MEMORY, Outcome.INCONCLUSIVE, (MemoryUnknown(),))
    old, new = statistics.median(before), statistics.median(after)
    grain = max(tolerance * old, MEMORY_GRAIN_BYTES)
    if new - old > grain and min(after) > max(before):
        outcome = Outcome.REGRESSED
    elif old - new > grain and max(after) < min(before):
        outcome = Outcome.IMPROVED
    else:
        outcome = Outcome.PASSED
    return Verdict(
        Metric.MEMORY,
        outcome,
        measured=new,
        expected=old,
        change=new / old - 1,
        tolerance=tolerance,
    )


def judge_compile(
    metric: Metric, control_s: Sequence[float], treatment_s: Sequence[float], alpha: float
) -> Verdict:
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
    return Verdict(
        metric,
        outcome,
        measured=new,
        expected=old,
        change=math.expm1(difference),
        change_interval=(math.expm1(difference - half_width), math.expm1(difference + half_width)),
        minimum_detectable_effect=math.expm1(threshold + float(stats.norm.ppf(0.95)) * error),
        tolerance=COMPILE_TOLERANCE,
        alpha=alpha,
    )


def judge_count(metric: Metric, control: Sequence[int], treatment: Sequence[int]) -> Verdict:
    """Hold the largest count of one arm's starts against that of the other's."""
    old, new = max(control), max(treatment)
    if new == old:
        return Verdict(metric, Outcome.PASSED, measured=new, expected=old)
    outcome = Outcome.REGRESSED if new > old else Outcome.IMPROVED
    changed = (CountChanged(metric.value, old, new),)
    return Verdict(metric, outcome, changed, measured=new, expected=old)


def judge_references(control: Verdict, treatment: Verdict) -> Verdict:
    """Images of both arms against fp32; what the control fails, the treatment is not blamed for.

    `invalid`: the control's own images are not what they should be.
    """
    shown = replace(treatment, expected=control.measured)
    if control.outcome is not Outcome.PASSED:
        reasons = tuple(ControlAtFault(found) for found in _of_images(control))
        return replace(shown, outcome=Outcome.INVALID, reasons=reasons)
    return shown


def judge_same_images(verdict: Verdict) -> Verdict:
    """Images of the treatment against the control's."""
    if verdict.outcome is not Outcome.REGRESSED:
        return replace(verdict, metric=Metric.SAME_IMAGES)
    reasons: tuple[Reason, ...] = tuple(AgainstControl(found) for found in _of_images(verdict))
    return replace(verdict, metric=Metric.SAME_IMAGES, reasons=reasons)


def _of_images(verdict: Verdict) -> list[ImageFaults | ThresholdsMissed | NothingChecked]:
    kinds = (ImageFaults, ThresholdsMissed, NothingChecked)
    return [each for each in verdict.reasons if isinstance(each, kinds)]


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
