"""Why a verdict on images or layers says what it says; see `perfsuite.results.reasons`."""

from __future__ import annotations

import msgspec


class CodedReason(msgspec.Struct, frozen=True, tag_field="code", tag=True):
    """Base of all reasons."""


class Missed(msgspec.Struct, frozen=True):
    """A threshold that was not reached.

    Attributes:
        metric: name of the threshold, as a field of `Thresholds`.
        value: what was found.
        threshold: what was asked for.
    """

    metric: str
    value: float
    threshold: float


class ImageFaults(CodedReason, frozen=True):
    """An image is visibly at fault, or cannot be compared.

    Attributes:
        faults: in words; empty if it just cannot be compared.
        prompt: of the image.
        seed: of its first noise.
    """

    faults: tuple[str, ...]
    prompt: str
    seed: int


class ThresholdsMissed(CodedReason, frozen=True):
    """Images are less like their references than is asked.

    Attributes:
        change: what kind of change that is, for people.
        missed: thresholds that were not reached.
        prompt: of the worst image.
        seed: of its first noise.
    """

    change: str
    missed: tuple[Missed, ...]
    prompt: str
    seed: int


class NotCalibrated(CodedReason, frozen=True):
    """There are no thresholds for these images: they were looked at, and scored for the reader.

    Attributes:
        worst_ssim: SSIM of the worst image.
        worst_psnr_db: its PSNR in decibels; None if it is equal to its reference.
        worst_lpips: the largest learned perceptual distance; None where it was not measured.
    """

    worst_ssim: float
    worst_psnr_db: float | None
    worst_lpips: float | None = None


class NoPictures(CodedReason, frozen=True):
    """The checkpoint's images are noise: there is nothing to score.

    Attributes:
        checkpoint: names it.
    """

    checkpoint: str


class NothingChecked(CodedReason, frozen=True):
    """A check found nothing to check.

    Attributes:
        what: should have been there.
    """

    what: str


class ReferenceTierChanged(CodedReason, frozen=True):
    """The reference tier itself no longer makes its references: every tier shares the cause.

    Attributes:
        found: what is wrong with its images.
        versions: packages that the references were made with, where they differ from today's.
    """

    found: ThresholdsMissed | ImageFaults
    versions: tuple[str, ...] = ()


class RoundingDiffers(CodedReason, frozen=True):
    """The reference tier makes its references but for rounding.

    Attributes:
        psnr_db: of the worst image, decibels.
    """

    psnr_db: float


class FirstReferences(CodedReason, frozen=True):
    """There were no references; from now on these images are."""


class ReferencesUnchecked(CodedReason, frozen=True):
    """The reference tier was not held against its own references in this session."""


class NoPicture(CodedReason, frozen=True):
    """The failure picture could not be written.

    Attributes:
        problem: why.
    """

    problem: str


class LayersMissed(CodedReason, frozen=True):
    """Quantised layers compute something else than they should.

    Attributes:
        layer: the worst.
        others: how many more.
        relative_error: of the worst; None where it has none.
        most_relative_error: that is allowed.
        gain: of the worst.
        most_gain_error: that is allowed.
    """

    layer: str
    others: int
    relative_error: float | None
    most_relative_error: float
    gain: float
    most_gain_error: float


class ControlAtFault(CodedReason, frozen=True):
    """The control's own images are not what they should be; the treatment is not blamed.

    Attributes:
        found: what is wrong with them.
    """

    found: ThresholdsMissed | ImageFaults | NothingChecked


class AgainstControl(CodedReason, frozen=True):
    """The treatment's images differ from the control's.

    Attributes:
        found: how.
    """

    found: ThresholdsMissed | ImageFaults | NothingChecked
