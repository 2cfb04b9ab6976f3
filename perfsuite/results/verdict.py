"""The words that every verdict uses."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Outcome(str, enum.Enum):
    """What a verdict says; `recorded` is a run that was made the baseline instead of judged."""

    PASSED = "passed"
    REGRESSED = "regressed"
    IMPROVED = "improved"
    INCONCLUSIVE = "inconclusive"
    NO_BASELINE = "no baseline"
    INVALID = "invalid"
    RECORDED = "recorded"


class Metric(str, enum.Enum):
    """What a verdict is about; its values are in the unit of the name."""

    LATENCY = "latency"
    """Seconds per image."""
    MEMORY = "peak memory"
    """Bytes."""
    COLD_COMPILE = "cold compile"
    """Seconds by which the first image is longer than the others, with an empty cache."""
    WARM_COMPILE = "warm compile"
    """The same with the cache that the cold start has filled."""
    GRAPH_BREAKS = "graph breaks"
    RECOMPILES = "recompiles"
    """Graphs compiled after the first image."""
    IMAGES = "images"
    """SSIM of the worst image to its fp32 reference."""
    SAME_IMAGES = "images against control"
    """SSIM of the worst image of the treatment to the control's."""


@dataclass(frozen=True)
class MetricVerdict:
    """A verdict on one metric of one tier; None where there is nothing to say.

    Attributes:
        metric: what was judged; it tells the unit of `control` and `treatment`.
        outcome: what the verdict says.
        reason: one line for people.
        control: the control's value.
        treatment: the treatment's value.
        change: of the treatment against the control, as a fraction; positive is more.
        interval: 95 % interval of the change, as fractions.
        minimum_detectable_effect: change that would have been called a regression with 95 % power.
    """

    metric: Metric
    outcome: Outcome
    reason: str = ""
    control: float | None = None
    treatment: float | None = None
    change: float | None = None
    interval: tuple[float, float] | None = None
    minimum_detectable_effect: float | None = None


class Basis(str, enum.Enum):
    """Which number of a run is judged."""

    PROBE = "tier / probe"
    """Median of the ratios of paired samples: what slows both is the machine and falls out."""
    RAW = "raw latency"
    """Median of the samples themselves, on hardware that is steadier than a probe can make it."""


@dataclass(frozen=True)
class LatencyVerdict:
    """A verdict with all that it rests on; None where there was nothing to compute it from.

    Attributes:
        outcome: what it says.
        reason: one line for people.
        measured_s: median latency, seconds.
        measured_interval_s: 95 % interval of that median within this run, seconds.
        baseline_s: latency that it was held against, seconds.
        change: slowdown on the verdict's basis, as a fraction; negative is faster.
        change_interval: 95 % prediction interval of the change, as fractions.
        minimum_detectable_effect: slowdown that would have been called a regression with 95 %
        power.
        tolerance: from the policy.
        basis: which number was judged.
        run_spread: standard deviation between runs of that number, as a fraction.
        p_value: of 'no slower than before'.
        alpha: that the p-value was held against; Holm's, with what was known at that time.
    """

    outcome: Outcome
    reason: str
    measured_s: float
    measured_interval_s: tuple[float, float]
    baseline_s: float | None = None
    change: float | None = None
    change_interval: tuple[float, float] | None = None
    minimum_detectable_effect: float | None = None
    tolerance: float | None = None
    basis: Basis | None = None
    run_spread: float | None = None
    p_value: float | None = None
    alpha: float | None = None
