"""From scores of images and thresholds to a verdict. Pure functions: no file, no printing.

Two stages share them. *Exactness*: what must not change numbers beyond rounding is applied in fp32
and held at `EXACT_PSNR_DB`. *Lossy*: what changes precision on purpose is held at
thresholds that were calibrated on the healthy tier. A failed check
is never retried.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from perfsuite.results.images import Change, ImageEvidence, ImageScore, Thresholds
from perfsuite.results.picture_reasons import (
    ImageFaults,
    Missed,
    NotCalibrated,
    NothingChecked,
    ReferenceTierChanged,
    RoundingDiffers,
    ThresholdsMissed,
)
from perfsuite.results.verdict import Metric, Outcome, Verdict

EXACT_PSNR_DB = 80.0
"""Rounding in fp32 leaves more than 100 dB; compute in fp16, as in TF32, 69 to 77 dB; bugs less."""
ROUNDING_PSNR_DB = 50.0
"""The reference tier on another CPU or version is at least so near to its stored references."""
REFERENCE_THRESHOLDS = Thresholds(
    f"the reference tier against its own references: {ROUNDING_PSNR_DB:.0f} dB",
    worst_psnr_db=ROUNDING_PSNR_DB,
)
LATENTS_AGREE = 0.999
"""Cosine below which final latents do not agree, whatever is asked of a tier."""
EXACT_THRESHOLDS = Thresholds(
    "exactness stage, float32 pixels", worst_psnr_db=EXACT_PSNR_DB, exact=True
)
SAME_PICTURE = 0.98
"""SSIM above which pixels that moved still show the same picture."""


def judge_images(
    scores: tuple[ImageScore, ...], thresholds: Thresholds, metric: Metric = Metric.IMAGES
) -> Verdict:
    """Hold scores against thresholds.

    An image that is visibly at fault, or that could not be scored, fails; so does any threshold
    that is not reached, and a set without an image. Thresholds that ask for nothing leave it at
    `not calibrated`.

    Args:
        scores: one for each image.
        thresholds: what is asked for.
        metric: what the verdict is about; exactness reports PSNR in dB, the others SSIM.
    """
    if not scores:
        nothing = (NothingChecked("images"),)
        return Verdict(metric, Outcome.REGRESSED, nothing)
    evidence = ImageEvidence(thresholds, scores)
    found = _found(evidence)
    worst = evidence.worst
    measured = worst.psnr_db if metric is Metric.EXACTNESS else worst.ssim
    if found is None and thresholds.ask_nothing:
        distances = [each.lpips for each in scores if each.lpips is not None]
        told = NotCalibrated(worst.ssim or 0.0, worst.psnr_db, max(distances, default=None))
        outcome = Outcome.NOT_CALIBRATED
        return Verdict(metric, outcome, (told,), measured=measured, images=evidence)
    if found is None:
        return Verdict(metric, Outcome.PASSED, measured=measured, images=evidence)
    change = classify(scores, thresholds)
    failed = replace(evidence, change=change)
    return Verdict(metric, Outcome.REGRESSED, (found,), measured=measured, images=failed)


def judge_reference_tier(scores: tuple[ImageScore, ...], versions: tuple[str, ...]) -> Verdict:
    """Hold the reference tier against references that it made itself.

    Whatever fails here, every tier shares: a library, the checkpoint or the machine has changed the
    pictures. Rounding of another CPU or version leaves at least `ROUNDING_PSNR_DB` and is a note.

    Args:
        scores: one for each image.
        versions: packages that the references were made with, where they differ from today's.
    """
    verdict = judge_images(scores, REFERENCE_THRESHOLDS)
    noises = [each.psnr_db for each in scores if each.psnr_db is not None]
    if verdict.outcome is Outcome.PASSED:
        notes = (RoundingDiffers(min(noises)),) if noises else ()
        return replace(verdict, notes=notes)
    found = tuple(
        ReferenceTierChanged(each, versions)
        for each in verdict.reasons
        if isinstance(each, (ThresholdsMissed, ImageFaults))
    )
    return replace(verdict, reasons=found or verdict.reasons)


def _found(evidence: ImageEvidence) -> ImageFaults | ThresholdsMissed | None:
    """What is wrong with images; None if nothing is."""
    at_fault = [score for score in evidence.scores if score.faults or score.ssim is None]
    if at_fault:
        first = at_fault[0]
        return ImageFaults(first.faults, first.prompt, first.seed)
    missed = tuple(
        Missed(check.metric, check.value, check.threshold)
        for check in evidence.checks
        if not check.holds
    )
    if not missed:
        return None
    worst = evidence.worst
    change = classify(evidence.scores, evidence.thresholds)
    return ThresholdsMissed(change.value, missed, worst.prompt, worst.seed)


def classify(scores: Iterable[ImageScore], thresholds: Thresholds) -> Change:
    """What kind of change a failed check has found, from SSIM and latent cosine together.

    - Latents agree if the cosine of the worst image reaches `LATENTS_AGREE`, and its
      threshold if that is higher.
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
