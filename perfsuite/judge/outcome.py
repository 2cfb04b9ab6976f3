"""The words that every verdict uses."""

from __future__ import annotations

import enum


class Outcome(str, enum.Enum):
    """What a verdict says; `recorded` is a run that was made the baseline instead of judged."""

    PASSED = "passed"
    REGRESSED = "regressed"
    IMPROVED = "improved"
    INCONCLUSIVE = "inconclusive"
    NO_BASELINE = "no baseline"
    INVALID = "invalid"
    RECORDED = "recorded"
