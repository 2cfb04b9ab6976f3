"""The verdict: one type for every metric of a tier, in a session and in a gate."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from perfsuite.results.images import ImageEvidence, LayerEvidence
from perfsuite.results.pictures import PictureEvidence
from perfsuite.results.reasons import Reason


class Outcome(str, enum.Enum):
    """What a verdict says, from the lightest to the gravest."""

    NOT_SUPPORTED = "not supported here"
    """Neither passed nor failed: this hardware, library or checkpoint cannot do it."""
    PASSED = "passed"
    RECORDED = "recorded"
    """Not judged: this run was made the baseline."""
    IMPROVED = "improved"
    NOT_CALIBRATED = "not calibrated"
    """Images were looked at; how near they should come to their references is not known."""
    NOT_MEASURED = "not measured"
    """Left out: there was no time for it."""
    NO_BASELINE = "no baseline"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    REGRESSED = "regressed"

    @property
    def gravity(self) -> int:
        """The higher, the graver."""
        return _GRAVITY[self]


_GRAVITY = {outcome: place for place, outcome in enumerate(Outcome)}


def gravest(outcomes: Iterable[Outcome]) -> Outcome | None:
    """The gravest of some outcomes; None if there is none."""
    return max(outcomes, key=lambda outcome: outcome.gravity, default=None)


class Metric(str, enum.Enum):
    """What a verdict is about; it tells the unit of the verdict's numbers."""

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
    EXACTNESS = "exactness"
    """PSNR in dB of the worst image of the exact changes in fp32."""
    AS_GOOD = "pictures"
    """Pictures of a method beside those of the method that it stands in for; many numbers."""
    LAYERS = "layers"
    """Relative error of the worst quantised layer."""
    STRUCTURE = "structure"
    """Operators that one image of the counting pass calls."""

    @property
    def is_of_pictures(self) -> bool:
        """Whether it is about what images show, or what layers compute."""
        return self in _OF_PICTURES


_OF_PICTURES = frozenset(
    {Metric.IMAGES, Metric.SAME_IMAGES, Metric.EXACTNESS, Metric.LAYERS, Metric.AS_GOOD}
)


class Basis(str, enum.Enum):
    """Which number of a run is judged."""

    PROBE = "tier / probe"
    """Median of the ratios of paired samples: what slows both is the machine and falls out."""
    RAW = "raw latency"
    """Median of the samples themselves, on hardware that is steadier than a probe can make it."""


@dataclass(frozen=True)
class Verdict:
    """What is said of one metric of one tier, and what it rests on; None where nothing is known.

    Attributes:
        metric: what was judged.
        outcome: what the verdict says.
        reasons: why, and what would settle it.
        measured: the value found here, in a gate the treatment's; unit of the metric.
        measured_interval: 95 % interval of `measured` within this run.
        expected: the value that it was held against: the baseline's or the control's.
        change: of `measured` against `expected` on the verdict's basis, as a fraction; positive is
            more.
        change_interval: 95 % interval of the change, as fractions.
        minimum_detectable_effect: change that would have been called a regression with 95 % power.
        tolerance: change that nobody minds, as a fraction.
        basis: which number of a run was judged.
        run_spread: standard deviation between runs of that number, as a fraction.
        p_value: of 'no more than before'.
        alpha: that the p-value was held against.
        images: scores of images, with the thresholds that they were held against.
        layers: scores of layers, with the thresholds that they were held against.
        notes: what a reader must know beside.
        compared: a method's pictures beside the reference method's.
    """

    metric: Metric
    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    measured: float | None = None
    measured_interval: tuple[float, float] | None = None
    expected: float | None = None
    change: float | None = None
    change_interval: tuple[float, float] | None = None
    minimum_detectable_effect: float | None = None
    tolerance: float | None = None
    basis: Basis | None = None
    run_spread: float | None = None
    p_value: float | None = None
    alpha: float | None = None
    images: ImageEvidence | None = None
    layers: LayerEvidence | None = None
    notes: tuple[Reason, ...] = ()
    compared: PictureEvidence | None = None
