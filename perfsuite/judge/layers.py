"""From scores of quantised layers and thresholds to a verdict. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable

from perfsuite.results.images import LayerScore, LayersVerdict, LayerThresholds
from perfsuite.results.verdict import Outcome

ASSUMED_ERROR = 0.03
"""Relative error that a healthy int8 layer stays below, where none has been calibrated."""


ASSUMED_GAIN_ERROR = 0.01
"""The same for the gain."""


ASSUMED_THRESHOLDS = LayerThresholds("assumed, not calibrated", ASSUMED_ERROR, ASSUMED_GAIN_ERROR)


def judge_layers(scores: Iterable[LayerScore], thresholds: LayerThresholds) -> LayersVerdict:
    """The worst layer decides; a NaN never passes."""
    ordered = tuple(sorted(scores, key=_badness, reverse=True))
    failing = [each for each in ordered if not _reaches(each, thresholds)]
    if not failing:
        return LayersVerdict(Outcome.PASSED, "", thresholds, ordered)
    worst = failing[0]
    more = f" and {len(failing) - 1} more" if len(failing) > 1 else ""
    reason = (
        f"layer {worst.layer}{more}: relative error {worst.relative_error:.4f} "
        f"(at most {thresholds.relative_error:.4f}), gain {worst.gain:.4f} "
        f"(1 ± {thresholds.gain_error:.4f})"
    )
    return LayersVerdict(Outcome.REGRESSED, reason, thresholds, ordered)


def _reaches(score: LayerScore, thresholds: LayerThresholds) -> bool:
    return (
        score.relative_error <= thresholds.relative_error
        and abs(score.gain - 1) <= thresholds.gain_error
    )


def _badness(score: LayerScore) -> float:
    error = score.relative_error
    return math.inf if math.isnan(error) else error
