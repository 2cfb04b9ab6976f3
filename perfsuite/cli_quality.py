"""`perfsuite calibrate-quality`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from perfsuite.cli_session import prepare, progress_line
from perfsuite.errors import CalibrationError
from perfsuite.libraries import quietly

if TYPE_CHECKING:
    from perfsuite.quality.calibration import Calibration
    from perfsuite.run import Run


@click.command("calibrate-quality")
@click.argument("checkpoint", default="pocket")
@click.option("--tiers", default=None, help="Tiers to calibrate, e.g. bf16,int8 (all).")
@click.option("--seeds", default=8, show_default=True, type=click.IntRange(2, 100))
@click.option("--device", default="auto", show_default=True)
@click.option("--baselines", default="baselines", show_default=True, help="Folder to write to.")
def calibrate_quality(
    checkpoint: str, tiers: str | None, seeds: int, device: str, baselines: str
) -> None:
    """Set the quality gate's thresholds from what the healthy tiers score."""
    run = prepare(checkpoint, tiers, device, baselines, uses_calibration=False)
    run.calibration = _known_calibration(run)
    from perfsuite.quality.calibrate import calibrate

    with progress_line() as line, quietly():
        calibration = calibrate(run, seeds, line.begin, line.update)
    for name, tier in calibration.tiers.items():
        bars = tier.bars
        click.echo(
            f"{name}: SSIM worst {bars.worst_ssim:.4f} mean {bars.mean_ssim:.4f} "
            f"median {bars.median_ssim:.4f}, PSNR worst {bars.worst_psnr_db:.1f} "
            f"mean {bars.mean_psnr_db:.1f} median {bars.median_psnr_db:.1f} dB, "
            f"worst latent cosine {bars.worst_latent_cosine:.6f} ({bars.source})"
        )


def _known_calibration(run: Run) -> Calibration | None:
    """Thresholds of these weights; what cannot be used is about to be replaced."""
    from perfsuite.prepare import find_calibration

    key, identity = run.store.hardware_key, run.record.identity
    try:
        return find_calibration(run.settings, key, run.checkpoint, identity)
    except CalibrationError:
        return None
