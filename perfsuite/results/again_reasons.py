"""What came of making a failed image once more; see `perfsuite.results.reasons`."""

from __future__ import annotations

from perfsuite.results.picture_reasons import CodedReason


class Bimodal(CodedReason, frozen=True):
    """The same code makes two images of one prompt and seed, each of them again and again.

    Attributes:
        ssim: of the image that failed, to its reference; None if it has none.
        again: of the one from a fresh process.
        between_db: PSNR between both.
    """

    ssim: float | None
    again: float | None
    between_db: float


class SameAgain(CodedReason, frozen=True):
    """A fresh process makes the same image: what has failed fails for good."""


class Unstable(CodedReason, frozen=True):
    """Two makings of one image in one process differ.

    Attributes:
        between_db: PSNR between them.
    """

    between_db: float


class NotMadeAgain(CodedReason, frozen=True):
    """A failed image could not be made once more.

    Attributes:
        problem: why not.
    """

    problem: str
