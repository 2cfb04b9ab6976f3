"""From scores of images and bars to a verdict. Pure functions: no file, no printing.

Two stages share them. *Exactness*: what must not change numbers beyond rounding is applied in fp32
and held at `EXACT_PSNR_DB`. *Lossy*: what changes precision on purpose is held at bars that were
calibrated on the healthy tier (perfsuite.quality.calibration). A failed check is never retried.
"""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from perfsuite.judge.outcome import Outcome

EXACT_PSNR_DB = 80.0
"""Rounding in fp32 leaves more than 100 dB; compute in fp16, as in TF32, 69 to 77 dB; bugs less."""
VALID_SSIM = 0.999
"""fp32 that is less like its own stored reference than this makes the references invalid."""
LATENTS_AGREE = 0.999
"""Cosine below which final latents do not agree, whatever is asked of a tier."""
SAME_PICTURE = 0.98
"""SSIM above which pixels that moved still show the same picture."""


class Change(str, enum.Enum):
    """What kind of change a failed check has found."""

    DRIFT = "drift"
    """Pixels moved, latents agree, the picture is the same: rounding or another kernel."""
    NUMBERS = "numbers changed beyond rounding"
    """The same of a build in which only rounding may differ."""
    DECODER = "damage after denoising"
    """Latents agree and the picture is another: VAE decoding or what follows it."""
    DAMAGE = "damage"
    """Latents disagree: text encoders, denoiser, scheduler or guidance."""


@dataclass(frozen=True)
class ImageScore:
    """How near one image is to its reference; what could not be computed is None.

    Attributes:
        prompt: what it shows.
        seed: of its first noise.
        ssim: structural similarity, 1 is equal.
        psnr_db: peak signal-to-noise ratio in decibels; None if the images are equal.
        mean_difference: mean absolute difference of pixels, from 0 to 1.
        latent_cosine: cosine of the final latents, 1 is equal.
        faults: what is wrong with the image that no reference is needed to see.
    """

    prompt: str
    seed: int
    ssim: float | None
    psnr_db: float | None
    mean_difference: float | None = None
    latent_cosine: float | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bars:
    """What images have to reach; None is not asked for.

    Attributes:
        source: where the bars are from, for people.
        worst_ssim: SSIM of the worst image.
        mean_ssim: mean SSIM over images.
        median_ssim: median SSIM over images; a few images that rounding sends elsewhere do not move
            it, and a fault that moves them all does.
        worst_psnr_db: PSNR of the worst image, decibels.
        mean_psnr_db: mean PSNR over images, decibels.
        median_psnr_db: median PSNR over images, decibels.
        worst_latent_cosine: latent cosine of the worst image.
        exact: whether nothing but rounding may differ, so that drift is no excuse.
    """

    source: str
    worst_ssim: float | None = None
    mean_ssim: float | None = None
    median_ssim: float | None = None
    worst_psnr_db: float | None = None
    mean_psnr_db: float | None = None
    median_psnr_db: float | None = None
    worst_latent_cosine: float | None = None
    exact: bool = False


@dataclass(frozen=True)
class Finding:
    """One bar, and what was found against it.

    Attributes:
        metric: name of the bar, as a field of `Bars`.
        value: what was found.
        bar: what was asked for.
    """

    metric: str
    value: float
    bar: float

    @property
    def holds(self) -> bool:
        """Whether the bar is reached; a NaN never does."""
        return self.value >= self.bar

    @property
    def margin(self) -> float:
        """How far below the bar, in powers of ten of the error; negative above it."""
        return _log_error(self.metric, self.value) - _log_error(self.metric, self.bar)

    def __str__(self) -> str:
        form = ".1f" if self.metric.endswith("_db") else ".5f"
        sign = ">=" if self.holds else "below"
        return f"{metric_name(self.metric)} {self.value:{form}} {sign} {self.bar:{form}}"


@dataclass(frozen=True)
class QualityVerdict:
    """Whether a tier's images still are the images.

    Attributes:
        outcome: `passed`, `regressed` or `invalid`.
        reason: one line for people.
        bars: what was asked for.
        scores: one for each image.
        change: what kind of change a failure is.
        notes: what a reader must know beside, each one line.
        pictures: paths of failure pictures.
    """

    outcome: Outcome
    reason: str
    bars: Bars
    scores: tuple[ImageScore, ...]
    change: Change | None = None
    notes: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()

    @property
    def worst(self) -> ImageScore:
        """The image that is least like its reference."""
        return min(self.scores, key=_nearness)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every bar with what was found against it."""
        return findings(self.scores, self.bars)


def judge_scores(scores: tuple[ImageScore, ...], bars: Bars) -> QualityVerdict:
    """Hold scores against bars.

    An image that is visibly at fault, or that could not be scored, fails; so does any bar that is
    not reached.
    """
    at_fault = [score for score in scores if score.faults or score.ssim is None]
    missed = [finding for finding in findings(scores, bars) if not finding.holds]
    if not at_fault and not missed:
        return QualityVerdict(Outcome.PASSED, "", bars, scores)
    change = classify(scores, bars)
    if at_fault:
        first = at_fault[0]
        what = "; ".join(first.faults) or "the image cannot be compared"
        reason = f"{what} for '{first.prompt}', seed {first.seed}"
    else:
        worst = min(scores, key=_nearness)
        said = ", ".join(str(finding) for finding in missed)
        reason = f"{change.value}: {said}; worst '{worst.prompt}', seed {worst.seed}"
    return QualityVerdict(Outcome.REGRESSED, reason, bars, scores, change)


def findings(scores: Iterable[ImageScore], bars: Bars) -> tuple[Finding, ...]:
    """Every bar that is set, with what was found; nothing where no image could be scored."""
    known = [score for score in scores if score.ssim is not None]
    if not known:
        return ()
    ssims = [score.ssim for score in known if score.ssim is not None]
    noises = [math.inf if score.psnr_db is None else score.psnr_db for score in known]
    cosines = [each.latent_cosine for each in known if each.latent_cosine is not None]
    found = {
        "worst_ssim": _lowest(ssims),
        "mean_ssim": statistics.fmean(ssims),
        "median_ssim": statistics.median(ssims),
        "worst_psnr_db": _lowest(noises),
        "mean_psnr_db": statistics.fmean(noises),
        "median_psnr_db": statistics.median(noises),
        "worst_latent_cosine": _lowest(cosines) if cosines else math.nan,
    }
    asked = ((name, getattr(bars, name)) for name in found)
    return tuple(Finding(name, found[name], bar) for name, bar in asked if bar is not None)


def classify(scores: Iterable[ImageScore], bars: Bars) -> Change:
    """What kind of change a failed check has found, from SSIM and latent cosine together.

    - Latents agree if the cosine of the worst image reaches `LATENTS_AGREE`, and its bar if that is
      higher.
    - They agree, and the worst image still has an SSIM of `SAME_PICTURE`: drift, or, where nothing
      but rounding may differ, numbers changed.
    - They agree, and it has not: damage after denoising.
    - They do not agree, or could not be compared: damage.
    """
    known = list(scores)
    cosines = [score.latent_cosine for score in known]
    ssims = [score.ssim for score in known]
    bar = max(bars.worst_latent_cosine or 0.0, LATENTS_AGREE)
    if not known or any(cosine is None or not cosine >= bar for cosine in cosines):
        return Change.DAMAGE
    if all(ssim is not None and ssim >= SAME_PICTURE for ssim in ssims):
        return Change.NUMBERS if bars.exact else Change.DRIFT
    return Change.DECODER


def metric_name(metric: str) -> str:
    """A metric's name for people: 'worst SSIM'."""
    words = {"ssim": "SSIM", "psnr": "PSNR", "db": "dB"}
    return " ".join(words.get(word, word) for word in metric.split("_"))


def _nearness(score: ImageScore) -> tuple[float, float]:
    """Orders images from the worst: visibly at fault first, then by SSIM, then by PSNR."""
    if score.faults or score.ssim is None or math.isnan(score.ssim):
        return -math.inf, -math.inf
    return round(score.ssim, 4), math.inf if score.psnr_db is None else score.psnr_db


def _lowest(values: list[float]) -> float:
    return math.nan if any(math.isnan(value) for value in values) else min(values)


def _log_error(metric: str, value: float) -> float:
    if metric.endswith("_db"):
        return -value / 10
    return math.log10(max(1 - value, 1e-12))
