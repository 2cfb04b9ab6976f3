"""`perfsuite calibrate-quality`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from perfsuite.cli.common import prepare, progress_line
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
def calibrate_quality(
    checkpoint: str | None,
    tiers: str | None,
    seeds: int,
    device: str | None,
    baselines: str | None,
) -> None:
    """Set the quality gate's thresholds from what the healthy tiers of a checkpoint score."""
    run = prepare(checkpoint, tiers, device, baselines, uses_calibration=False)
    check_writable(run.settings.baselines, 0)
    run.calibration = _known_calibration(run)
    from perfsuite.session.calibrate import calibrate

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
    from perfsuite.session.preflight import find_calibration

    key, identity = run.store.hardware_key, run.record.identity
    try:
        return find_calibration(run.settings, key, run.checkpoint, identity)
    except CalibrationError:
        return None
