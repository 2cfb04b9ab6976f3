"""Whether a method's pictures are as good as those of the method that it stands in for.

Such pictures are others on purpose (few steps, a smaller UNet, reused features), so no distance to
a reference ranks them: they are paired by prompt and seed, and every quality that a person can name
is held at a floor. A floor holds if its whole interval does, and is broken if none of it does.
Pure functions: no file, no printing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from perfsuite.results.images import ImageScore
from perfsuite.results.method_reasons import (
    ContentUnscored,
    FloorsMissed,
    FloorsOpen,
    NotReproduced,
    TooFewPairs,
)
from perfsuite.results.picture_reasons import ImageFaults
from perfsuite.results.pictures import (
    CONTENT,
    Comparison,
    Floor,
    FloorCheck,
    PictureEvidence,
    PictureScore,
    Quality,
)
from perfsuite.results.reasons import Reason
from perfsuite.results.verdict import Metric, Outcome, Verdict

PAIRS = 24
"""Fewest pairs of pictures that a verdict rests on: one picture is no evidence."""
REPRODUCED_DB = 50.0
"""PSNR that rounding of another CPU or version leaves between two makings of one picture."""
LEVEL = 0.95
FLOORS = (
    Floor(Quality.ASKED, Comparison.SHARE, low=0.70),
    Floor(Quality.CLIP, Comparison.DIFFERENCE, low=-2.0),
    Floor(Quality.PREFERENCE, Comparison.DIFFERENCE, low=-1.5),
    Floor(Quality.SHARPNESS, Comparison.RATIO, low=0.67, high=1.5),
    Floor(Quality.GRAIN, Comparison.RATIO, low=0.5, high=1.6),
    Floor(Quality.CONTRAST, Comparison.RATIO, low=0.75, high=1.33),
    Floor(Quality.COLOUR, Comparison.RATIO, low=0.67, high=1.5),
    Floor(Quality.BRIGHTNESS, Comparison.DIFFERENCE, low=-0.1, high=0.1),
    Floor(Quality.DIVERSITY, Comparison.RATIO, low=0.85),
)
"""What a method has to reach; docs/quality.md says where the numbers are from."""


def judge_pictures(
    reference: str,
    scores: tuple[PictureScore, ...],
    reference_scores: tuple[PictureScore, ...],
    diversity: Mapping[str, tuple[float, float]],
    *,
    itself: tuple[ImageScore, ...] = (),
    unavailable: tuple[str, ...] = (),
    floors: tuple[Floor, ...] = FLOORS,
) -> Verdict:
    """The verdict on a method's pictures.

    Args:
        reference: the tier that they have to be as good as.
        scores: of the method's pictures.
        reference_scores: of the reference method's, in the same order of prompts and seeds.
        diversity: by the prompt, mean distance between seeds: the method's and the reference's.
        itself: the method's pictures against those of an earlier session; empty without one.
        unavailable: scores that could not be had, and why.
        floors: what is asked for.

    Raises:
        ValueError: the pictures are not paired.
    """
    named = [[(each.prompt, each.seed) for each in some] for some in (scores, reference_scores)]
    if named[0] != named[1]:
        raise ValueError("pictures of two methods are compared in pairs of prompt and seed")
    checks = tuple(
        found
        for floor in floors
        if (found := check(floor, scores, reference_scores, diversity)) is not None
    )
    noises = [each.psnr_db for each in itself if each.psnr_db is not None]
    evidence = PictureEvidence(
        reference, checks, scores, reference_scores, unavailable, min(noises, default=None)
    )
    outcome, reasons = _decide(evidence, itself)
    return Verdict(Metric.AS_GOOD, outcome, reasons, compared=evidence)


def _decide(
    evidence: PictureEvidence, itself: tuple[ImageScore, ...]
) -> tuple[Outcome, tuple[Reason, ...]]:
    at_fault = next((each for each in evidence.scores if each.faults), None)
    if at_fault is not None:
        found = ImageFaults(at_fault.faults, at_fault.prompt, at_fault.seed)
        return Outcome.REGRESSED, (found,)
    bad: list[Reason] = [*_not_reproduced(itself)]
    broken = tuple(each for each in evidence.checks if each.is_broken)
    if broken:
        bad.append(FloorsMissed(broken))
    if bad:
        return Outcome.REGRESSED, tuple(bad)
    undecided: list[Reason] = []
    if len(evidence.scores) < PAIRS:
        undecided.append(TooFewPairs(len(evidence.scores), PAIRS))
    if not any(each.floor.quality in CONTENT for each in evidence.checks):
        undecided.append(ContentUnscored(evidence.unavailable))
    unsettled = tuple(each for each in evidence.checks if not each.holds)
    if unsettled:
        undecided.append(FloorsOpen(unsettled))
    return (Outcome.INCONCLUSIVE if undecided else Outcome.PASSED), tuple(undecided)


def _not_reproduced(itself: tuple[ImageScore, ...]) -> list[NotReproduced]:
    """The picture that is least like the one that the same method made earlier, if too little."""
    noises = [(each.psnr_db, each) for each in itself if each.psnr_db is not None]
    unlike = [(0.0, each) for each in itself if each.ssim is None]
    found = min([*noises, *unlike], key=lambda pair: pair[0], default=None)
    if found is None or found[0] >= REPRODUCED_DB:
        return []
    return [NotReproduced(found[0], REPRODUCED_DB, found[1].prompt, found[1].seed)]


def check(
    floor: Floor,
    scores: Sequence[PictureScore],
    reference_scores: Sequence[PictureScore],
    diversity: Mapping[str, tuple[float, float]],
) -> FloorCheck | None:
    """A floor with what was found; None where that was not scored."""
    if floor.quality is Quality.DIVERSITY:
        pairs = [both for both in diversity.values() if min(both) >= 0]
    else:
        pairs = [
            (own.values[floor.quality], other.values[floor.quality])
            for own, other in zip(scores, reference_scores, strict=True)
            if floor.quality in own.values and floor.quality in other.values
        ]
    if len(pairs) < 2:
        return None
    if floor.comparison is Comparison.SHARE:
        return _share(floor, pairs)
    if floor.comparison is Comparison.RATIO:
        logs = [_log_ratio(own, other) for own, other in pairs]
        low, value, high = (math.exp(each) for each in mean_interval(logs))
    else:
        low, value, high = mean_interval([own - other for own, other in pairs])
    return FloorCheck(floor, value, (low, high), len(pairs))


def _share(floor: Floor, pairs: Sequence[tuple[float, float]]) -> FloorCheck:
    """Share of pictures that have all of it, with Clopper and Pearson's interval."""
    hits, count = sum(own >= 1 for own, _ in pairs), len(pairs)
    found = stats.binomtest(hits, count).proportion_ci(LEVEL, method="exact")
    others = sum(other >= 1 for _, other in pairs) / count
    return FloorCheck(floor, hits / count, (float(found.low), float(found.high)), count, others)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower end, mean and upper end of Student's 95 % interval of a mean; NaN stays NaN."""
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = float(stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1)) * error
    return mean - reach, mean, mean + reach


def _log_ratio(own: float, other: float) -> float:
    """Logarithm of a ratio; both are kept above what 8 bits can show."""
    smallest = 1e-4
    return math.log(max(own, smallest) / max(other, smallest))
