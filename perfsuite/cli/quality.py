"""`perfsuite calibrate-quality`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from perfsuite.cli.common import prepare, progress_line, workload_options
from perfsuite.errors import CalibrationError
from perfsuite.libraries import quietly
from perfsuite.storage import check_writable

if TYPE_CHECKING:
    from perfsuite.results.images import Calibration
    from perfsuite.session.run import Run


@click.command("calibrate-quality")
@click.argument("checkpoint", required=False)
@click.option("--tiers", help="Tiers to calibrate, e.g. bf16,int8 (all).")
@click.option("--seeds", default=8, show_default=True, type=click.IntRange(2, 100))
@click.option("--device", show_default="auto")
@click.option("--baselines", show_default="baselines", help="Folder to write to.")
@workload_options
def calibrate_quality(seeds: int, **given: Any) -> None:
    """Set the quality gate's thresholds from what the healthy tiers of a checkpoint score."""
    first = prepare(given, uses_calibration=False)
    check_writable(first.settings.baselines, 0)
    for run in first.siblings:
        _calibrate(run, seeds)


def _calibrate(run: Run, seeds: int) -> None:
    from perfsuite.session.calibrate import calibrate

    run.calibration = _known_calibration(run)
    with progress_line() as line, quietly():
        calibration = calibrate(run, seeds, line.begin, line.update)
    for name, tier in calibration.tiers.items():
        thresholds = tier.thresholds
        click.echo(
            f"{name}: SSIM worst {thresholds.worst_ssim:.4f} mean {thresholds.mean_ssim:.4f} "
            f"median {thresholds.median_ssim:.4f}, PSNR worst {thresholds.worst_psnr_db:.1f} "
            f"mean {thresholds.mean_psnr_db:.1f} median {thresholds.median_psnr_db:.1f} dB, "
            f"worst latent cosine {thresholds.worst_latent_cosine:.6f} ({thresholds.source})"
        )


def _known_calibration(run: Run) -> Calibration | None:
    """Thresholds of these weights; what cannot be used is about to be replaced."""
    from perfsuite.ladder import describe_weights
    from perfsuite.session.preflight import find_calibration

    weights = describe_weights((), run.checkpoint)[None]
    key = run.environment.hardware.images_key
    try:
        return find_calibration(run.settings, key, run.checkpoint, weights, run.work)
    except CalibrationError:
        return None
