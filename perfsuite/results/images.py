"""Scores of images and layers, and the thresholds that they are held against."""

from __future__ import annotations

import enum
import math
import statistics
from dataclasses import dataclass

from perfsuite.results.machine import Environment
from perfsuite.results.method import Configuration


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
        lpips: learned perceptual distance, 0 is equal; None where it was not measured.
    """

    prompt: str
    seed: int
    ssim: float | None
    psnr_db: float | None
    mean_difference: float | None = None
    latent_cosine: float | None = None
    faults: tuple[str, ...] = ()
    lpips: float | None = None


@dataclass(frozen=True)
class Thresholds:
    """What images have to reach; None is not asked for.

    Attributes:
        source: where the thresholds are from, for people.
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

    @property
    def ask_nothing(self) -> bool:
        """Whether no number is asked for: only what is wrong at sight can fail."""
        return not any(isinstance(value, float) for value in vars(self).values())


@dataclass(frozen=True)
class LayerScore:
    """How near a quantised layer is to the layer at full precision.

    Attributes:
        layer: its name in the pipeline.
        relative_error: length of the outputs' difference over the length of the outputs; None where
            they are not finite, or nothing came through the layer that it could be tried on.
        gain: factor by which outputs are too long on average; 1 is right. Rounding leaves it at 1,
            a wrong scale does not.
    """

    layer: str
    relative_error: float | None
    gain: float


@dataclass(frozen=True)
class LayerThresholds:
    """What every quantised layer has to reach.

    Attributes:
        source: where the thresholds are from, for people.
        relative_error: highest relative error.
        gain_error: highest deviation of the gain from 1.
    """

    source: str
    relative_error: float
    gain_error: float


@dataclass(frozen=True)
class Spread:
    """What a healthy tier's images score, and how near a wrong image comes.

    Attributes:
        worst: score of the worst image.
        mean: mean over images.
        best: score of the best image.
        deviation: standard deviation of the error's logarithm (base 10).
        other_seed: best score that an image of the same prompt and another seed reaches.
        values: the scores themselves, prompts outermost, seeds in the calibration's order.
    """

    worst: float
    mean: float
    best: float
    deviation: float
    other_seed: float
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class TierCalibration:
    """One tier's thresholds, and what they rest on.

    Attributes:
        thresholds: for the lossy stage.
        images: how many healthy images were scored.
        ssim: spread of SSIM.
        psnr_db: spread of PSNR, decibels.
        latent_cosine: spread of the latent cosine.
        exactness_psnr_db: PSNR of the worst image of the tier's exact changes in fp32; None if it
            has none of its own. Its threshold is not calibrated.
        layer_thresholds: for quantised layers; None if there are none.
        worst_layer: highest relative error of a healthy quantised layer.
    """

    thresholds: Thresholds
    images: int
    ssim: Spread
    psnr_db: Spread
    latent_cosine: Spread
    exactness_psnr_db: float | None = None
    layer_thresholds: LayerThresholds | None = None
    worst_layer: LayerScore | None = None


@dataclass(frozen=True)
class Calibration:
    """Thresholds of one checkpoint.

    Attributes:
        schema: version of this layout.
        checkpoint: names the checkpoint.
        identity: of its weights.
        workload: digest of the quality workload that the thresholds are for.
        seeds: seeds that were measured, each with every prompt.
        environment: where it was measured.
        tiers: by the tier's name.
        configuration: of the checkpoint; None where it is not known.
    """

    schema: int
    checkpoint: str
    identity: str
    workload: str
    seeds: tuple[int, ...]
    environment: Environment
    tiers: dict[str, TierCalibration]
    configuration: Configuration | None = None

    def thresholds(self, tier: str) -> Thresholds | None:
        """A tier's thresholds; None if it was not calibrated."""
        known = self.tiers.get(tier)
        return known.thresholds if known else None

    def layer_thresholds(self, tier: str) -> LayerThresholds | None:
        """Thresholds of a tier's quantised layers; None if it was not calibrated."""
        known = self.tiers.get(tier)
        return known.layer_thresholds if known else None


@dataclass(frozen=True)
class ThresholdCheck:
    """One threshold, and what was found against it.

    Attributes:
        metric: name of the threshold, as a field of `Thresholds`.
        value: what was found.
        threshold: what was asked for.
    """

    metric: str
    value: float
    threshold: float

    @property
    def holds(self) -> bool:
        """Whether the threshold is reached; a NaN never does."""
        return self.value >= self.threshold

    @property
    def margin(self) -> float:
        """How far below the threshold, in powers of ten of the error; negative above it."""
        return _log_error(self.metric, self.value) - _log_error(self.metric, self.threshold)


@dataclass(frozen=True)
class ContactSheets:
    """All images of a tier for people, beside what they were held against.

    Each sheet is one picture file with equal cells, row by row, in the order of the scores.

    Attributes:
        columns: cells in a row.
        references: path of the references' sheet, relative to the record's folder.
        images: path of the tier's.
        differences: path of the maps of differences, each scaled to its own peak.
        peaks: brightest point of each map, as a fraction of full range; None where an image cannot
            be compared with its reference.
        aspect: width of a cell over its height.
    """

    columns: int
    references: str
    images: str
    differences: str
    peaks: tuple[float | None, ...]
    aspect: float = 1.0


@dataclass(frozen=True)
class ImageEvidence:
    """What a verdict on images rests on.

    Attributes:
        thresholds: what was asked for.
        scores: one for each image, at least one.
        change: what kind of change a failure is.
        pictures: paths of failure pictures, relative to the record's folder.
        sheets: the images themselves; None where they were not kept.
    """

    thresholds: Thresholds
    scores: tuple[ImageScore, ...]
    change: Change | None = None
    pictures: tuple[str, ...] = ()
    sheets: ContactSheets | None = None

    @property
    def worst(self) -> ImageScore:
        """The image that is least like its reference."""
        return min(self.scores, key=_nearness)

    @property
    def checks(self) -> tuple[ThresholdCheck, ...]:
        """Every threshold that is set, with what was found; none where no image was scored."""
        known = [score for score in self.scores if score.ssim is not None]
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
        asked = ((name, getattr(self.thresholds, name)) for name in found)
        return tuple(
            ThresholdCheck(name, found[name], threshold)
            for name, threshold in asked
            if threshold is not None
        )


@dataclass(frozen=True)
class LayerEvidence:
    """What a verdict on quantised layers rests on.

    Attributes:
        thresholds: what was asked for.
        scores: one for each layer, worst relative error first.
    """

    thresholds: LayerThresholds
    scores: tuple[LayerScore, ...]

    @property
    def margins_db(self) -> list[float]:
        """How far beyond each threshold the worst layer is, in dB; below 0 it is within."""
        if not self.scores:
            return []
        errors = [math.inf if s.relative_error is None else s.relative_error for s in self.scores]
        error = max(errors) / self.thresholds.relative_error
        gain = max(abs(score.gain - 1) for score in self.scores) / self.thresholds.gain_error
        return [20 * math.log10(max(share, 1e-6)) for share in (error, gain) if share < math.inf]


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
