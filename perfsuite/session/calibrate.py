"""Measuring healthy tiers for the thresholds of the quality gate: `perfsuite calibrate-quality`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count, islice

from perfsuite.errors import CalibrationError
from perfsuite.images.calibration import (
    calibrate_layers,
    calibrate_tier,
    calibration_path,
    save_tier,
)
from perfsuite.images.generate import GeneratedImage
from perfsuite.images.metrics import as_eight_bits, ssim
from perfsuite.images.scoring import make_images, score_image, score_quantised
from perfsuite.judge.images import VALID_SSIM
from perfsuite.ladder import Tier, build_tier, changes_layers, has_exactness, reference_tier
from perfsuite.progress import Progress
from perfsuite.results.images import Calibration, ImageScore, TierCalibration
from perfsuite.results.migrate import SCHEMA
from perfsuite.session.run import Run
from perfsuite.storage import check_outputs
from perfsuite.stores.references import References, exactness_shots, references_of
from perfsuite.workload import Shot, Workload


@dataclass(frozen=True)
class Ground:
    """What all tiers are calibrated on: fp32 images of every prompt with more seeds.

    Attributes:
        workload: the quality workload with more seeds.
        references: fp32 images of it.
        others: scores of fp32 images against those of the same prompt and another seed.
    """

    workload: Workload
    references: References
    others: tuple[ImageScore, ...]


def calibrate(
    run: Run, seeds: int, begin: Callable[[str], None], progress: Progress
) -> Calibration:
    """Measure every tier of a run but fp32, and store thresholds after each.

    Tiers that the file knows of these weights and that the run leaves out stay as they are.

    Args:
        run: names checkpoint, device, tiers and references.
        seeds: how many seeds to make of each prompt.
        begin: told of each tier.
        progress: told of each image.

    Raises:
        CalibrationError: fp32 does not make its own references, or a tier cannot be scored.
        OutputError: the file cannot be written.
    """
    key = None if run.checkpoint.portable_references else run.store.hardware_key
    path = calibration_path(run.settings.baselines, run.checkpoint.name, key)
    check_outputs(path)
    begin("fp32")
    ground = _lay_ground(run, widened(run.checkpoint.quality, seeds), progress)
    known = run.calibration.tiers if run.calibration else {}
    calibration = Calibration(
        SCHEMA,
        run.checkpoint.name,
        run.record.identity,
        run.checkpoint.quality.digest,
        ground.workload.seeds,
        run.environment,
        dict(known),
    )
    for tier in run.tiers:
        if tier.parent is None or tier.reference is not None:
            continue
        begin(tier.name)
        measured = _measure_tier(run, tier, ground, progress)
        calibration = save_tier(path, calibration, tier.name, measured)
    return calibration


def widened(workload: Workload, seeds: int, first: int | None = None) -> Workload:
    """The same prompts with more seeds, the workload's own first (or only others, from `first`)."""
    if first is not None:
        return replace(workload, seeds=tuple(range(first, first + seeds)))
    more = (seed for seed in count() if seed not in workload.seeds)
    wanted = max(0, seeds - len(workload.seeds))
    return replace(workload, seeds=(*workload.seeds, *islice(more, wanted)))


def score_tier(
    run: Run, tier: Tier, workload: Workload, references: References, progress: Progress
) -> tuple[ImageScore, ...]:
    """Scores of a tier's images of any workload against references of that workload."""
    checkpoint = replace(run.checkpoint, quality=workload)
    with build_tier(tier, checkpoint, run.device) as built:
        return tuple(
            score_image(image, workload, references.image(image.shot), latents)
            for image, latents in zip(
                make_images(built, progress=progress), references.latents, strict=True
            )
        )


def make_references(run: Run, workload: Workload, progress: Progress) -> tuple[GeneratedImage, ...]:
    """fp32 images of any workload."""
    checkpoint = replace(run.checkpoint, quality=workload)
    with build_tier(reference_tier(), checkpoint, run.device) as fp32:
        return tuple(make_images(fp32, progress=progress))


def _lay_ground(run: Run, workload: Workload, progress: Progress) -> Ground:
    images = make_references(run, workload, progress)
    _check_stored(run, images)
    references = references_of(images, workload)
    others = tuple(
        score_image(image, workload, references.image(shot), references.latents[shot.index])
        for image, shot in _other_seeds(images, workload)
    )
    return Ground(workload, references, others)


def _check_stored(run: Run, images: tuple[GeneratedImage, ...]) -> None:
    """See that fp32 still makes the references that verdicts will be held against."""
    if run.references is None:
        return
    made = {(image.shot.prompt, image.shot.seed): image for image in images}
    for shot in run.checkpoint.quality.shots():
        pixels = as_eight_bits(made[shot.prompt, shot.seed].pixels)
        found = ssim(pixels, run.references.image(shot))
        if not found >= VALID_SSIM:
            raise CalibrationError(
                f"fp32 does not make its own reference of '{shot.prompt}', seed {shot.seed} "
                f"(SSIM {found:.4f})",
                hint=f"perfsuite record-references {run.checkpoint.name}",
            )


def _other_seeds(
    images: tuple[GeneratedImage, ...], workload: Workload
) -> Iterator[tuple[GeneratedImage, Shot]]:
    """Each image with the shot of the same prompt and the next seed."""
    for image in images:
        own = [other.shot for other in images if other.shot.prompt == image.shot.prompt]
        place = own.index(image.shot)
        yield image, own[(place + 1) % len(own)]


def _measure_tier(run: Run, tier: Tier, ground: Ground, progress: Progress) -> TierCalibration:
    scores = score_tier(run, tier, ground.workload, ground.references, progress)
    images = len(tuple(run.checkpoint.quality.shots()))
    measured = calibrate_tier(scores, ground.others, images)
    if has_exactness(tier):
        worst = _exactness(run, tier, ground, progress)
        measured = replace(measured, exactness_psnr_db=worst)
    if changes_layers(tier):
        with (
            build_tier(tier, run.checkpoint, run.device, exact_only=True) as exact,
            build_tier(tier, run.checkpoint, run.device) as built,
        ):
            layers = score_quantised(built, exact, progress)
        worst_layer = max(layers, key=lambda score: score.relative_error)
        measured = replace(
            measured, layer_thresholds=calibrate_layers(layers), worst_layer=worst_layer
        )
    return measured


def _exactness(run: Run, tier: Tier, ground: Ground, progress: Progress) -> float | None:
    """PSNR of the worst image of a tier's exact changes in fp32; None if all are equal."""
    checkpoint = replace(run.checkpoint, quality=ground.workload)
    with build_tier(tier, checkpoint, run.device, exact_only=True) as exact:
        scores = [
            score_image(
                image,
                ground.workload,
                ground.references.pixels[image.shot.index],
                ground.references.latents[image.shot.index],
                in_eight_bits=False,
            )
            for image in make_images(exact, exactness_shots(ground.workload), progress=progress)
        ]
    return min((score.psnr_db for score in scores if score.psnr_db is not None), default=None)
