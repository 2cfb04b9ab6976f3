"""From samples, scores and conditions to verdicts: pure functions, no clock, file or printing."""

from perfsuite.judge.conditions import disqualification
from perfsuite.judge.images import Bars, ImageScore, QualityVerdict, judge_scores
from perfsuite.judge.latency import (
    LatencyVerdict,
    Policy,
    Spread,
    between_run_spread,
    judge_latency,
    without_baseline,
)
from perfsuite.judge.outcome import Outcome

__all__ = [
    "Bars",
    "ImageScore",
    "LatencyVerdict",
    "Outcome",
    "Policy",
    "QualityVerdict",
    "Spread",
    "between_run_spread",
    "disqualification",
    "judge_latency",
    "judge_scores",
    "without_baseline",
]
