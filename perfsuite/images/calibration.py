"""Thresholds of the quality gate, with the evidence that each rests on.

`perfsuite calibrate-quality` measures the healthy tiers over prompts x seeds and writes
`<baselines>/quality/<checkpoint>.json` (under the hardware's key where references are). A few
images sit where rounding decides which way they go, on one machine these and on another those, so
no bound on the worst image holds for the next seeds. Three thresholds of different meaning do:

- the *worst* image has to be nearer than half the error of another seed's: still this picture;
- the *median* has to stay below a prediction bound from the spread of the middle, which strays do
  not move (errors spread over powers of ten, so it is on their logarithm; W. Q. Meeker, G. J. Hahn,
  L. A. Escobar, 'Statistical Intervals', 2nd ed., 2017, section 4.8);
- the *mean* has to stay below what the two make together with `STRAYS` images at the worst's
  threshold.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from scipy import stats

from perfsuite.errors import CalibrationError
from perfsuite.ladder.table import Tier, changes_precision
from perfsuite.results.images import (
    Calibration,
    ImageScore,
    LayerScore,
    LayerThresholds,
    Spread,
    Thresholds,
    TierCalibration,
)
from perfsuite.results.method import Configuration, first_difference
from perfsuite.results.migrate import SCHEMA, migrated
from perfsuite.storage import locked, read_json, write_json
from perfsuite.workload import NOTHING_ASKED, Asked, Workload, labelled

FALSE_ALARM_RATE = 1e-4
"""Probability that one threshold fails a healthy tier in one run, if errors are log-normal."""
LEEWAY = 1.25
"""How much larger than the worst healthy error the smallest error to fail is, at least."""
STRAYS = 2
"""Images of a run that rounding may send elsewhere without the mean's threshold being missed."""
EXACT_MIN_SSIM = 0.99
"""Of a tier that changes no precision and was not calibrated; the exactness stage sees more."""
LAYER_LEEWAY = 1.3
"""The same for quantised layers, whose errors hardly vary."""
GAIN_FLOOR = 0.002
"""Deviation of a layer's gain that rounding alone may show."""
SMALLEST_ERROR = 1e-7
"""Errors below this are rounding of the metric itself."""


def calibration_path(
    baselines: Path, checkpoint: str, hardware_key: str | None, label: str | None = None
) -> Path:
    """Where a checkpoint's thresholds lie; by hardware where its references are.

    Args:
        baselines: folder of baselines, references and thresholds.
        checkpoint: names the checkpoint.
        hardware_key: names the hardware; None where references hold on any.
        label: of a workload that is not the checkpoint's own.
    """
    folder = baselines / hardware_key if hardware_key else baselines
    return folder / "quality" / f"{labelled(checkpoint, label)}.json"


def load_calibration(
    path: Path,
    *,
    checkpoint: str,
    identity: str,
    workload: Workload,
    configuration: Configuration | None = None,
    asked: Asked = NOTHING_ASKED,
) -> Calibration | None:
    """Thresholds of a checkpoint; None if there are none.

    Args:
        path: of the file.
        checkpoint: names the checkpoint.
        identity: of its weights.
        workload: the quality workload.
        configuration: of the checkpoint; None where it is not known.
        asked: names checkpoint and workload to the command that makes them anew.

    Raises:
        CalibrationError: damaged, or measured for other weights or configurations, or for another
            workload.
    """
    hint = asked.command("calibrate-quality")
    if not path.exists():
        return None
    found = _read(path, hint)
    named = (
        ("weights", identity, found.identity),
        ("workload", workload.digest, found.workload),
    )
    other = first_difference(named, found.configuration, configuration)
    if other is not None:
        raise CalibrationError(
            f"{path} was calibrated for {other.what} {other.recorded}, this is {other.here}",
            hint=hint,
        )
    return found


def save_tier(
    path: Path, calibration: Calibration, name: str, measured: TierCalibration
) -> Calibration:
    """Store a tier's thresholds beside those that other sessions have stored meanwhile.

    Args:
        path: the file.
        calibration: names weights and workload, and holds what is known of the other tiers.
        name: of the tier.
        measured: its thresholds.

    Returns:
        What the file holds now. A file of other weights, or that cannot be read, is replaced.

    Raises:
        OutputError: the file cannot be written.
    """
    with locked(path):
        found = _stored(path)
        same = found is not None and (found.identity, found.workload) == (
            calibration.identity,
            calibration.workload,
        )
        others = found.tiers if found is not None and same else calibration.tiers
        merged = replace(calibration, tiers=others | {name: measured})
        write_json(path, merged)
    return merged


def _stored(path: Path) -> Calibration | None:
    try:
        return _read(path, "") if path.exists() else None
    except CalibrationError:
        return None


def _read(path: Path, hint: str) -> Calibration:
    return read_json(
        path, Calibration, schema=SCHEMA, error=CalibrationError, hint=hint, migrate=migrated
    )


def calibrate_tier(
    scores: Sequence[ImageScore], others: Sequence[ImageScore], images_per_run: int
) -> TierCalibration:
    """Thresholds of a tier from its healthy scores.

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
                hint="fix the tier before it is calibrated",
            )
    ssim = [_error(score.ssim) for score in scores]
    noise = [_noise_power(score.psnr_db) for score in scores]
    cosine = [_error(score.latent_cosine) for score in scores]
    other_ssim = [_error(each.ssim) for each in others]
    other_noise = [_noise_power(each.psnr_db) for each in others]
    other_cosine = [_error(each.latent_cosine) for each in others]
    images = images_per_run
    worst = [
        worst_threshold(errors, others)
        for errors, others in ((ssim, other_ssim), (noise, other_noise), (cosine, other_cosine))
    ]
    middle_ssim, middle_noise = median_threshold(ssim, images), median_threshold(noise, images)
    thresholds = Thresholds(
        source=f"calibrated on {len(scores)} images",
        worst_ssim=1 - worst[0],
        mean_ssim=1 - mean_threshold(middle_ssim, worst[0], images),
        median_ssim=1 - middle_ssim,
        worst_psnr_db=_decibels(worst[1]),
        mean_psnr_db=mean_threshold(_decibels(middle_noise), _decibels(worst[1]), images),
        median_psnr_db=_decibels(middle_noise),
        worst_latent_cosine=1 - worst[2],
    )
    return TierCalibration(
        thresholds,
        len(scores),
        _spread(ssim, other_ssim, lambda error: 1 - error),
        _spread(noise, other_noise, _decibels),
        _spread(cosine, other_cosine, lambda error: 1 - error),
    )


def worst_threshold(errors: Sequence[float], others: Sequence[float]) -> float:
    """Error from which an image is no longer this picture: half that of the nearest other seed.

    Raises:
        CalibrationError: a healthy image is beyond it.
    """
    threshold = min(others) / 2
    if max(errors) > threshold:
        raise CalibrationError(
            "an image of the healthy tier is as far from its reference as another seed's",
            hint="fix the tier, or take images out of the workload that rounding decides",
        )
    return threshold


def mean_threshold(middle: float, worst: float, images: int) -> float:
    """Mean of a run with `STRAYS` images at the worst's threshold, the others at the median's."""
    strays = min(STRAYS, images)
    return ((images - strays) * middle + strays * worst) / images


def median_threshold(errors: Sequence[float], images: int) -> float:
    """Error that the median of `images` further healthy images stays below.

    From the spread of the middle: the tail does not move it.

    The standard error of a median is sqrt(pi / 2) times that of a mean (normal errors), and 1.4826
    times the median absolute deviation estimates their standard deviation.
    """
    logs = [math.log10(error) for error in errors]
    middle = statistics.median(logs)
    deviation = 1.4826 * statistics.median(abs(each - middle) for each in logs)
    reach = _quantile(len(logs), FALSE_ALARM_RATE) * math.sqrt(1 / images + 1 / len(logs))
    bound = middle + reach * math.sqrt(math.pi / 2) * deviation
    return 10 ** max(min(bound, 0.0), middle + math.log10(LEEWAY))


def calibrate_layers(scores: Iterable[LayerScore]) -> LayerThresholds:
    """Thresholds that every healthy quantised layer reaches with some leeway.

    Raises:
        CalibrationError: a layer has no score.
    """
    known = list(scores)
    errors = [score.relative_error for score in known if score.relative_error is not None]
    if len(errors) < len(known) or not known:
        raise CalibrationError(
            "quantised layers have outputs that are not finite, or no inputs",
            hint="only a healthy tier can be calibrated",
        )
    return LayerThresholds(
        source=f"calibrated on {len(known)} layers",
        relative_error=LAYER_LEEWAY * max(errors),
        gain_error=max(GAIN_FLOOR, LAYER_LEEWAY * max(abs(score.gain - 1) for score in known)),
    )


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


def thresholds_of(tier: Tier, calibration: Calibration | None) -> Thresholds:
    """Calibrated thresholds of a tier's images; without a calibration what its row states.

    Where the row states nothing and the tier changes precision, there are none: how far bfloat16
    moves an image depends on the checkpoint, its size, its steps and the device. Tiers with
    references of their own are not calibrated as yet, and are held at `EXACT_MIN_SSIM`.
    """
    known = calibration.thresholds(tier.name) if calibration else None
    if known is not None:
        return known
    if tier.min_ssim is None and tier.reference is None and changes_precision(tier):
        return Thresholds("not calibrated")
    stated = EXACT_MIN_SSIM if tier.min_ssim is None else tier.min_ssim
    return Thresholds("the tier's row, not calibrated", worst_ssim=stated)
