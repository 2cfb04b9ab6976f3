"""From samples, scores and conditions to verdicts: pure functions, no clock, file or printing."""

from perfsuite.judge.comparison import Comparison, Policy, compare
from perfsuite.judge.conditions import disqualification
from perfsuite.judge.family import holm_level
from perfsuite.judge.images import Bars, ImageScore, QualityVerdict, judge_scores
from perfsuite.judge.latency import LatencyVerdict, decide, without_baseline
from perfsuite.judge.outcome import Outcome
from perfsuite.judge.spread import Assumption, Basis, Spread, between_run_spread, steadier_spread

__all__ = [
    "Assumption",
    "Bars",
    "Basis",
    "Comparison",
    "ImageScore",
    "LatencyVerdict",
    "Outcome",
    "Policy",
    "QualityVerdict",
    "Spread",
    "between_run_spread",
    "compare",
    "decide",
    "disqualification",
    "holm_level",
    "judge_scores",
    "steadier_spread",
    "without_baseline",
]
