"""What is known of a method's pictures beside those of the method that it stands in for."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Quality(str, enum.Enum):
    """Something about pictures that a person can see, and that a number can stand for."""

    ASKED = "shows what was asked for"
    """Share of pictures in which a classifier recognises everything that the prompt names."""
    CLIP = "CLIP score"
    """Cosine of picture and prompt times 100; J. Hessel et al., 'CLIPScore', EMNLP 2021."""
    PREFERENCE = "PickScore"
    """Y. Kirstain et al., 'Pick-a-Pic', NeurIPS 2023."""
    SHARPNESS = "sharpness"
    """Length of the gradient of luma that one pixel in twenty exceeds: how hard edges are."""
    GRAIN = "grain"
    """Median length of the gradient of luma: how rough what should be plain is."""
    CONTRAST = "contrast"
    """Standard deviation of luma."""
    COLOUR = "colourfulness"
    """D. Hasler, S. Süsstrunk, 'Measuring colourfulness in natural images', SPIE 5007, 2003."""
    BRIGHTNESS = "brightness"
    """Mean luma, from 0 to 1."""
    DIVERSITY = "diversity over seeds"
    """Mean of 1 - SSIM over pairs of seeds of one prompt; low where all seeds give one picture."""


CONTENT = (Quality.ASKED, Quality.CLIP, Quality.PREFERENCE)
"""Those that say whether a picture shows what the prompt asks for."""


class Comparison(str, enum.Enum):
    """How a method's values become the one number that a floor is held against."""

    SHARE = "share"
    """Share of pictures, with its exact binomial interval."""
    RATIO = "ratio"
    """Geometric mean of the paired ratios to the reference method's."""
    DIFFERENCE = "difference"
    """Mean of the paired differences to the reference method's."""


@dataclass(frozen=True)
class PictureScore:
    """One picture, looked at without a reference; what could not be scored is missing.

    Attributes:
        prompt: it was made from.
        seed: of its first noise.
        values: by the quality.
        faults: what is wrong with it that no reference is needed to see.
    """

    prompt: str
    seed: int
    values: dict[Quality, float]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Floor:
    """What a method has to reach in one quality.

    Attributes:
        quality: that is held.
        comparison: how values become one number.
        low: the number has to be at least this; None asks for nothing.
        high: at most this.
    """

    quality: Quality
    comparison: Comparison
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class FloorCheck:
    """One floor, and what was found.

    Attributes:
        floor: what was asked for.
        value: the number.
        interval: 95 % interval of it over pairs; of diversity, over prompts.
        count: pairs, or prompts, that it rests on.
        reference: the reference method's own share, where the number is a share.
    """

    floor: Floor
    value: float
    interval: tuple[float, float]
    count: int
    reference: float | None = None

    @property
    def is_broken(self) -> bool:
        """Whether the floor is missed beyond doubt; NaN misses every floor."""
        low, high = self.floor.low, self.floor.high
        below = low is not None and not self.interval[1] >= low
        return below or (high is not None and not self.interval[0] <= high)

    @property
    def holds(self) -> bool:
        """Whether the floor is reached beyond doubt."""
        low, high = self.floor.low, self.floor.high
        above = low is None or self.interval[0] >= low
        return above and (high is None or self.interval[1] <= high)


@dataclass(frozen=True)
class PictureEvidence:
    """What a verdict on a method's pictures rests on.

    Attributes:
        reference: the tier that they have to be as good as.
        checks: every floor, with what was found.
        scores: of the method's pictures.
        reference_scores: of the reference method's, the same prompts and seeds.
        unavailable: scores that could not be had, and why.
        itself_psnr_db: PSNR of the picture that is least like the one that the same method made
            in an earlier session; None if there was none, or all are equal.
        pictures: paths of failure pictures, relative to the record's folder.
    """

    reference: str
    checks: tuple[FloorCheck, ...]
    scores: tuple[PictureScore, ...]
    reference_scores: tuple[PictureScore, ...]
    unavailable: tuple[str, ...] = ()
    itself_psnr_db: float | None = None
    pictures: tuple[str, ...] = ()
