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
from perfsuite.images.references import References, exactness_shots, references_of
from perfsuite.images.scoring import make_images, score_image, score_quantised
from perfsuite.judge.images import judge_reference_tier
from perfsuite.ladder import Tier, changes_layers, has_exactness, reference_tier
from perfsuite.progress import Progress
from perfsuite.report.messages import say_all
from perfsuite.results.images import Calibration, ImageScore, TierCalibration
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.verdict import Outcome
from perfsuite.session.run import Run
from perfsuite.storage import check_outputs
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
    if not run.checkpoint.has_pictures:
        raise CalibrationError(
            f"images of {run.checkpoint.name} are noise", hint="calibrate a trained checkpoint"
        )
    key = None if run.checkpoint.portable_references else run.environment.hardware.images_key
    label = run.work.quality_label
    path = calibration_path(run.settings.baselines, run.checkpoint.name, key, label)
    check_outputs(path)
    begin("fp32")
    ground = _lay_ground(run, widened(run.work.quality, seeds), progress)
    known = run.calibration.tiers if run.calibration else {}
    calibration = Calibration(
        SCHEMA,
        run.checkpoint.name,
        run.record.identity,
        run.work.quality.digest,
        ground.workload.seeds,
        run.environment,
        dict(known),
        run.methods[reference_tier().name].configuration,
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
    with run.build(tier) as built:
        return references.score(make_images(built, workload, progress=progress), workload)


def make_references(run: Run, workload: Workload, progress: Progress) -> tuple[GeneratedImage, ...]:
    """fp32 images of any workload."""
    with run.build(reference_tier()) as fp32:
        return tuple(make_images(fp32, workload, progress=progress))


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
    workload = run.work.quality
    own = [replace(made[shot.prompt, shot.seed], shot=shot) for shot in workload.shots()]
    versions = run.references.versions_since(run.environment)
    verdict = judge_reference_tier(run.references.score(own, workload), versions)
    if verdict.outcome is not Outcome.PASSED:
        raise CalibrationError(
            f"fp32 does not make its own references ({say_all(verdict.reasons, asked=run.asked)})",
            hint=run.asked.command("record-references"),
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
    images = len(tuple(run.work.quality.shots()))
    measured = calibrate_tier(scores, ground.others, images)
    if has_exactness(tier):
        exactness_db = _exactness(run, tier, ground, progress)
        measured = replace(measured, exactness_psnr_db=exactness_db)
    if changes_layers(tier):
        layers = score_quantised(tier, run.build, progress)
        thresholds = calibrate_layers(layers)
        worst = max(layers, key=lambda score: score.relative_error or 0.0)
        measured = replace(measured, layer_thresholds=thresholds, worst_layer=worst)
    return measured


def _exactness(run: Run, tier: Tier, ground: Ground, progress: Progress) -> float | None:
    """PSNR of the worst image of a tier's exact changes in fp32; None if all are equal."""
    workload = ground.workload
    with run.build(tier, exact_only=True) as exact:
        images = make_images(exact, workload, exactness_shots(workload), progress=progress)
        scores = ground.references.score(images, workload, in_eight_bits=False)
    return min((score.psnr_db for score in scores if score.psnr_db is not None), default=None)
