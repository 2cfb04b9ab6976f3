"""Why a verdict on a method's pictures says what it says; see `perfsuite.results.reasons`."""

from __future__ import annotations

from perfsuite.results.picture_reasons import CodedReason
from perfsuite.results.pictures import FloorCheck


class FloorsMissed(CodedReason, frozen=True):
    """Pictures are not as good as the reference method's.

    Attributes:
        checks: floors that are missed beyond doubt.
    """

    checks: tuple[FloorCheck, ...]


class FloorsOpen(CodedReason, frozen=True):
    """Whether pictures are as good cannot be told from so few.

    Attributes:
        checks: floors that lie within their intervals.
    """

    checks: tuple[FloorCheck, ...]


class ContentUnscored(CodedReason, frozen=True):
    """Nothing scored whether pictures show what was asked for.

    Attributes:
        unavailable: scores that could not be had, and why.
    """

    unavailable: tuple[str, ...]


class NotReproduced(CodedReason, frozen=True):
    """A method does not make the pictures that it made in an earlier session.

    Attributes:
        psnr_db: of the picture that is least like its earlier self.
        at_least_db: what rounding leaves.
        prompt: of that picture.
        seed: of its first noise.
    """

    psnr_db: float
    at_least_db: float
    prompt: str
    seed: int


class OwnPicturesRecorded(CodedReason, frozen=True):
    """A method's pictures were kept; later sessions have to reproduce them.

    Attributes:
        folder: where they lie.
    """

    folder: str


class TooFewPairs(CodedReason, frozen=True):
    """Too few pictures to judge a method by.

    Attributes:
        pairs: that were made.
        needed: that would do.
    """

    pairs: int
    needed: int
