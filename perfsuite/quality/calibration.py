"""Thresholds of the quality gate, with the evidence that each rests on.

`perfsuite calibrate-quality` measures the healthy tiers over prompts x seeds and writes
`<baselines>/quality/<checkpoint>.json` (under the hardware's key where references are). Errors
spread over powers of ten, so bars are set on their logarithm: the bar of the worst image is the
one-sided prediction bound for the worst of a run's images (W. Q. Meeker, G. J. Hahn, L. A.
Escobar, 'Statistical Intervals', 2nd ed., 2017, section 4.8, with Bonferroni's share for each
image). A few images sit where rounding decides which way they go: they make the worst image's bar
wide, and leave the median's, which is the sharp one, where it is. A bar is never nearer than a
quarter beyond the worst image seen, and never so wide that half the error of another seed's image
would pass.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

from perfsuite.environment import Environment
from perfsuite.errors import CalibrationError
from perfsuite.judge.images import Bars, ImageScore
from perfsuite.quality.layers import LayerBars, LayerScore
from perfsuite.storage import read_json
from perfsuite.workload import Workload

SCHEMA = 1
FALSE_ALARM_RATE = 1e-4
"""Probability that one bar fails a healthy tier in one run, if errors are log-normal."""
LEEWAY = 1.25
"""How much larger than the worst healthy error the smallest error to fail is, at least."""
LAYER_LEEWAY = 1.3
"""The same for quantised layers, whose errors hardly vary."""
GAIN_FLOOR = 0.002
"""Deviation of a layer's gain that rounding alone may show."""
SMALLEST_ERROR = 1e-7
"""Errors below this are rounding of the metric itself."""


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
    """One tier's bars, and what they rest on.

    Attributes:
        bars: for the lossy stage.
        images: how many healthy images were scored.
        ssim: spread of SSIM.
        psnr_db: spread of PSNR, decibels.
        latent_cosine: spread of the latent cosine.
        exactness_psnr_db: PSNR of the worst image of the tier's exact changes in fp32; None if it
            has none of its own. Its bar is not calibrated.
        layer_bars: for quantised layers; None if there are none.
        worst_layer: highest relative error of a healthy quantised layer.
    """

    bars: Bars
    images: int
    ssim: Spread
    psnr_db: Spread
    latent_cosine: Spread
    exactness_psnr_db: float | None = None
    layer_bars: LayerBars | None = None
    worst_layer: LayerScore | None = None


@dataclass(frozen=True)
class Calibration:
    """Thresholds of one checkpoint.

    Attributes:
        schema: version of this layout.
        checkpoint: names the checkpoint.
        identity: of its weights.
        workload: digest of the quality workload that the bars are for.
        seeds: seeds that were measured, each with every prompt.
        environment: where it was measured.
        tiers: by the tier's name.
    """

    schema: int
    checkpoint: str
    identity: str
    workload: str
    seeds: tuple[int, ...]
    environment: Environment
    tiers: dict[str, TierCalibration]

    def bars(self, tier: str) -> Bars | None:
        """A tier's bars; None if it was not calibrated."""
        known = self.tiers.get(tier)
        return known.bars if known else None

    def layer_bars(self, tier: str) -> LayerBars | None:
        """Bars of a tier's quantised layers; None if it was not calibrated."""
        known = self.tiers.get(tier)
        return known.layer_bars if known else None


def calibration_path(baselines: Path, checkpoint: str, hardware_key: str | None) -> Path:
    """Where a checkpoint's thresholds lie; by hardware where its references are."""
    folder = baselines / hardware_key if hardware_key else baselines
    return folder / "quality" / f"{checkpoint}.json"


def load_calibration(
    path: Path, *, checkpoint: str, identity: str, workload: Workload
) -> Calibration | None:
    """Thresholds of a checkpoint; None if there are none.

    Raises:
        CalibrationError: damaged, or measured for other weights or another workload.
    """
    mend = f"perfsuite calibrate-quality {checkpoint}"
    if not path.exists():
        return None
    found = read_json(path, Calibration, schema=SCHEMA, error=CalibrationError, mend=mend)
    expected = (
        ("weights", found.identity, identity),
        ("workload", found.workload, workload.digest),
    )
    for what, known, wanted in expected:
        if known != wanted:
            raise CalibrationError(
                f"{path} was calibrated for {what} {known}, this is {wanted}", mend=mend
            )
    return found


def calibrate_tier(
    scores: Sequence[ImageScore], others: Sequence[ImageScore], images_per_run: int
) -> TierCalibration:
    """Bars of a tier from its healthy scores.

    Args:
        scores: of healthy images, at least two for each image of a run.
        others: fp32 images of the same prompts and *other* seeds, against the references.
        images_per_run: how many images a verdict rests on.

    Raises:
        CalibrationError: an image could not be scored, or is visibly at fault.
    """
    for score in scores:
        if score.faults or score.ssim is None or score.latent_cosine is None:
            raise CalibrationError(
                f"'{score.prompt}', seed {score.seed}, cannot be scored",
                mend="mend the tier before it is calibrated",
            )
    ssim = [_error(score.ssim) for score in scores]
    noise = [_noise_power(score.psnr_db) for score in scores]
    cosine = [_error(score.latent_cosine) for score in scores]
    other_ssim = [_error(each.ssim) for each in others]
    other_noise = [_noise_power(each.psnr_db) for each in others]
    other_cosine = [_error(each.latent_cosine) for each in others]
    images = images_per_run
    bars = Bars(
        source=f"calibrated on {len(scores)} images",
        worst_ssim=1 - _below(worst_bar(ssim, images), other_ssim),
        mean_ssim=1 - _below(mean_bar(ssim, images), other_ssim),
        median_ssim=1 - _below(median_bar(ssim, images), other_ssim),
        worst_psnr_db=_decibels(_below(worst_bar(noise, images), other_noise)),
        mean_psnr_db=_decibels(_below(geometric_mean_bar(noise, images), other_noise)),
        median_psnr_db=_decibels(_below(median_bar(noise, images), other_noise)),
        worst_latent_cosine=1 - _below(worst_bar(cosine, images), other_cosine),
    )
    return TierCalibration(
        bars,
        len(scores),
        _spread(ssim, other_ssim, lambda error: 1 - error),
        _spread(noise, other_noise, _decibels),
        _spread(cosine, other_cosine, lambda error: 1 - error),
    )


def worst_bar(errors: Sequence[float], images: int) -> float:
    """Error that the worst of `images` further healthy images stays below."""
    logs = [math.log10(error) for error in errors]
    reach = _quantile(len(logs), FALSE_ALARM_RATE / images) * math.sqrt(1 + 1 / len(logs))
    bound = statistics.fmean(logs) + reach * statistics.stdev(logs)
    return max(10 ** min(bound, 0.0), LEEWAY * max(errors))


def mean_bar(errors: Sequence[float], images: int) -> float:
    """Error that the mean over `images` further healthy images stays below."""
    reach = _quantile(len(errors), FALSE_ALARM_RATE) * math.sqrt(1 / images + 1 / len(errors))
    mean = statistics.fmean(errors)
    return max(mean + reach * statistics.stdev(errors), LEEWAY * mean)


def geometric_mean_bar(errors: Sequence[float], images: int) -> float:
    """The same for the geometric mean, which a mean over decibels is."""
    logs = [math.log10(error) for error in errors]
    reach = _quantile(len(logs), FALSE_ALARM_RATE) * math.sqrt(1 / images + 1 / len(logs))
    mean = statistics.fmean(logs)
    return 10 ** max(min(mean + reach * statistics.stdev(logs), 0.0), mean + math.log10(LEEWAY))


def median_bar(errors: Sequence[float], images: int) -> float:
    """The same for the median, from the spread of the middle: the tail does not move it.

    The standard error of a median is sqrt(pi / 2) times that of a mean (normal errors), and 1.4826
    times the median absolute deviation estimates their standard deviation.
    """
    logs = [math.log10(error) for error in errors]
    middle = statistics.median(logs)
    deviation = 1.4826 * statistics.median(abs(each - middle) for each in logs)
    reach = _quantile(len(logs), FALSE_ALARM_RATE) * math.sqrt(1 / images + 1 / len(logs))
    bound = middle + reach * math.sqrt(math.pi / 2) * deviation
    return 10 ** max(min(bound, 0.0), middle + math.log10(LEEWAY))


def calibrate_layers(scores: Iterable[LayerScore]) -> LayerBars:
    """Bars that every healthy quantised layer reaches with some leeway."""
    known = list(scores)
    return LayerBars(
        source=f"calibrated on {len(known)} layers",
        relative_error=LAYER_LEEWAY * max(score.relative_error for score in known),
        gain_error=max(GAIN_FLOOR, LAYER_LEEWAY * max(abs(score.gain - 1) for score in known)),
    )


def _below(bar: float, others: Sequence[float]) -> float:
    """A bar is never so wide that the image of another seed would pass: few images know little."""
    return min(bar, min(others) / 2)


def _quantile(count: int, rate: float) -> float:
    return float(stats.t.ppf(1 - rate, count - 1))


def _error(similarity: float | None) -> float:
    return 1.0 if similarity is None else max(1 - similarity, SMALLEST_ERROR)


def _noise_power(noise_db: float | None) -> float:
    return SMALLEST_ERROR**2 if noise_db is None else 10 ** (-noise_db / 10)


def _decibels(power: float) -> float:
    return -10 * math.log10(power)


def _spread(
    errors: Sequence[float], others: Sequence[float], as_score: Callable[[float], float]
) -> Spread:
    logs = [math.log10(error) for error in errors]
    return Spread(
        worst=as_score(max(errors)),
        mean=statistics.fmean(as_score(error) for error in errors),
        best=as_score(min(errors)),
        deviation=statistics.stdev(logs),
        other_seed=as_score(min(others)),
        values=tuple(round(as_score(error), 7) for error in errors),
    )
