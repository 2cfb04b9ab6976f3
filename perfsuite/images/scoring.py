"""Making a tier's images, and scoring them and its quantised layers against references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from perfsuite.images.generate import GeneratedImage, generate
from perfsuite.images.layers import capture_activations, quantised_layers, score_layers
from perfsuite.images.metrics import (
    Latents,
    Pixels,
    as_eight_bits,
    latent_cosine,
    mean_absolute_difference,
    psnr_db,
    ssim,
    visible_faults,
)
from perfsuite.images.perceptual import perceptual_distance
from perfsuite.ladder import BuiltTier, Tier
from perfsuite.progress import Progress, silent
from perfsuite.results.images import ImageScore, LayerScore
from perfsuite.workload import Shot, Workload


class Build(Protocol):
    """Builds a tier."""

    def __call__(self, tier: Tier, *, exact_only: bool = False) -> BuiltTier:
        """A built tier; with `exact_only` without what changes precision."""


def make_images(
    built: BuiltTier,
    workload: Workload,
    shots: Iterable[Shot] | None = None,
    *,
    progress: Progress = silent,
) -> Iterator[GeneratedImage]:
    """Images of a workload, one after another; all of its shots by default."""
    wanted = tuple(workload.shots() if shots is None else shots)
    for done, shot in enumerate(wanted):
        progress("images", done, len(wanted))
        yield generate(built.pipeline, workload, shot)


def score_image(
    image: GeneratedImage,
    workload: Workload,
    reference: Pixels,
    latents: Latents,
    *,
    in_eight_bits: bool = True,
) -> ImageScore:
    """Look at an image, and hold it against its reference.

    Args:
        image: the image.
        workload: that it was made for.
        reference: pixels of the reference.
        latents: final latents of the reference.
        in_eight_bits: compare the PNG that a user would get; otherwise float32 pixels.
    """
    prompt, seed = image.shot.prompt, image.shot.seed
    faults = visible_faults(
        image.pixels, image.latents, height=workload.height, width=workload.width
    )
    if not image.finite and not faults:
        faults = ("another image of the batch is NaN or infinite",)
    if image.pixels.shape != reference.shape or not image.finite:
        return ImageScore(prompt, seed, None, None, faults=faults)
    seen = as_eight_bits(image.pixels) if in_eight_bits else image.pixels
    noise = psnr_db(seen, reference)
    return ImageScore(
        prompt,
        seed,
        ssim=ssim(seen, reference),
        psnr_db=noise if noise < float("inf") else None,
        mean_difference=mean_absolute_difference(seen, reference),
        latent_cosine=latent_cosine(image.latents, latents) if image.latents.any() else None,
        faults=faults,
    )


def with_distances(
    scores: tuple[ImageScore, ...],
    images: tuple[GeneratedImage, ...],
    reference: Callable[[Shot], Pixels],
) -> tuple[ImageScore, ...]:
    """Scores with the learned perceptual distance, where its package is installed.

    Args:
        scores: of the images, in their order.
        images: that were scored.
        reference: pixels of a shot's reference.
    """
    distance = perceptual_distance()
    if distance is None:
        return scores
    return tuple(
        score
        if score.ssim is None or score.faults
        else replace(score, lpips=distance(image.pixels, reference(image.shot)))
        for score, image in zip(scores, images, strict=True)
    )


def score_quantised(
    tier: Tier, build: Build, progress: Progress = silent
) -> tuple[LayerScore, ...]:
    """Every quantised layer of a tier against the same layer of its exact build.

    The two are never there at the same time: of the tier only its quantised layers are kept
    while the exact one makes an image.

    Args:
        tier: the tier.
        build: builds it.
        progress: told of what is done.
    """
    with build(tier) as built:
        layers = quantised_layers(built.pipeline)
        workload = built.quality
    shot = next(workload.shots())
    progress("layers", 0, 1)
    with build(tier, exact_only=True) as exact:
        activations = capture_activations(
            exact.pipeline,
            layers,
            lambda: generate(exact.pipeline, workload, shot),
            calls=(0, workload.steps // 2),
        )
    return score_layers(layers, activations)
