"""From scores of quantised layers and thresholds to a verdict. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable

from perfsuite.results.images import LayerEvidence, LayerScore, LayerThresholds
from perfsuite.results.picture_reasons import LayersMissed, NothingChecked
from perfsuite.results.verdict import Metric, Outcome, Verdict

ASSUMED_ERROR = 0.03
"""Relative error that a healthy int8 layer stays below, where none has been calibrated."""
ASSUMED_GAIN_ERROR = 0.01
"""The same for the gain."""
ASSUMED_THRESHOLDS = LayerThresholds("assumed, not calibrated", ASSUMED_ERROR, ASSUMED_GAIN_ERROR)


def judge_layers(scores: Iterable[LayerScore], thresholds: LayerThresholds) -> Verdict:
    """The worst layer decides; one without a score never passes, nor does a tier without any."""
    ordered = tuple(sorted(scores, key=_badness, reverse=True))
    evidence = LayerEvidence(thresholds, ordered)
    if not ordered:
        nothing = (NothingChecked("quantised layers"),)
        return Verdict(Metric.LAYERS, Outcome.REGRESSED, nothing, layers=evidence)
    measured = ordered[0].relative_error
    failing = [each for each in ordered if not _reaches(each, thresholds)]
    if not failing:
        return Verdict(Metric.LAYERS, Outcome.PASSED, measured=measured, layers=evidence)
    worst = failing[0]
    missed = LayersMissed(
        worst.layer,
        len(failing) - 1,
        worst.relative_error,
        thresholds.relative_error,
        worst.gain,
        thresholds.gain_error,
    )
    return Verdict(Metric.LAYERS, Outcome.REGRESSED, (missed,), measured=measured, layers=evidence)


def _reaches(score: LayerScore, thresholds: LayerThresholds) -> bool:
    error = score.relative_error
    return (
        error is not None
        and error <= thresholds.relative_error
        and abs(score.gain - 1) <= thresholds.gain_error
    )


def _badness(score: LayerScore) -> float:
    error = score.relative_error
    return math.inf if error is None or math.isnan(error) else error
