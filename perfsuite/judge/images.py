"""From scores of images and thresholds to a verdict. Pure functions: no file, no printing.

Two stages share them. *Exactness*: what must not change numbers beyond rounding is applied in fp32
and held at `EXACT_PSNR_DB`. *Lossy*: what changes precision on purpose is held at thresholds that
were
calibrated on the healthy tier (perfsuite.images.calibration). A failed check is never retried.
"""

from __future__ import annotations

from collections.abc import Iterable

from perfsuite.results.images import (
    Change,
    ImageScore,
    QualityVerdict,
    Thresholds,
    _nearness,
    findings,
)
from perfsuite.results.verdict import Outcome

EXACT_PSNR_DB = 80.0
"""Rounding in fp32 leaves more than 100 dB; compute in fp16, as in TF32, 69 to 77 dB; bugs less."""
VALID_SSIM = 0.999
"""fp32 that is less like its own stored reference than this makes the references invalid."""
LATENTS_AGREE = 0.999
"""Cosine below which final latents do not agree, whatever is asked of a tier."""
SAME_PICTURE = 0.98
"""SSIM above which pixels that moved still show the same picture."""


def judge_scores(scores: tuple[ImageScore, ...], thresholds: Thresholds) -> QualityVerdict:
    """Hold scores against thresholds.

    An image that is visibly at fault, or that could not be scored, fails; so does any threshold
    that is
    not reached.
    """
    at_fault = [score for score in scores if score.faults or score.ssim is None]
    missed = [finding for finding in findings(scores, thresholds) if not finding.holds]
    if not at_fault and not missed:
        return QualityVerdict(Outcome.PASSED, "", thresholds, scores)
    change = classify(scores, thresholds)
    if at_fault:
        first = at_fault[0]
        what = "; ".join(first.faults) or "the image cannot be compared"
        reason = f"{what} for '{first.prompt}', seed {first.seed}"
    else:
        worst = min(scores, key=_nearness)
        said = ", ".join(str(finding) for finding in missed)
        reason = f"{change.value}: {said}; worst '{worst.prompt}', seed {worst.seed}"
    return QualityVerdict(Outcome.REGRESSED, reason, thresholds, scores, change)


def classify(scores: Iterable[ImageScore], thresholds: Thresholds) -> Change:
    """What kind of change a failed check has found, from SSIM and latent cosine together.

    - Latents agree if the cosine of the worst image reaches `LATENTS_AGREE`, and its threshold if
      that is
      higher.
    - They agree, and the worst image still has an SSIM of `SAME_PICTURE`: drift, or, where nothing
      but rounding may differ, numbers changed.
    - They agree, and it has not: damage after denoising.
    - They do not agree, or could not be compared: damage.
    """
    known = list(scores)
    cosines = [score.latent_cosine for score in known]
    ssims = [score.ssim for score in known]
    threshold = max(thresholds.worst_latent_cosine or 0.0, LATENTS_AGREE)
    if not known or any(cosine is None or not cosine >= threshold for cosine in cosines):
        return Change.DAMAGE
    if all(ssim is not None and ssim >= SAME_PICTURE for ssim in ssims):
        return Change.NUMBERS if thresholds.exact else Change.DRIFT
    return Change.DECODER
