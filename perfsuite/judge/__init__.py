"""From samples, scores and conditions to verdicts: pure functions, no clock, file or printing."""

from perfsuite.judge.comparison import Comparison, compare
from perfsuite.judge.images import judge_scores
from perfsuite.judge.latency import decide, without_baseline
from perfsuite.judge.multiplicity import holm_alpha
from perfsuite.judge.validity import invalid_reason
from perfsuite.judge.variance import Spread, between_run_spread, steadier_spread
from perfsuite.results.images import ImageScore, QualityVerdict, Thresholds
from perfsuite.results.policy import Assumption, Policy
from perfsuite.results.verdict import Basis, LatencyVerdict, Outcome

__all__ = [
    "Assumption",
    "Basis",
    "Comparison",
    "ImageScore",
    "LatencyVerdict",
    "Outcome",
    "Policy",
    "QualityVerdict",
    "Spread",
    "Thresholds",
    "between_run_spread",
    "compare",
    "decide",
    "holm_alpha",
    "invalid_reason",
    "judge_scores",
    "steadier_spread",
    "without_baseline",
]
