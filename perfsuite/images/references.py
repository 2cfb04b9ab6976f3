"""Reference images in memory: what images of a tier are scored against."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from perfsuite.images.generate import GeneratedImage
from perfsuite.images.metrics import Latents, Pixels, as_eight_bits
from perfsuite.images.scoring import score_image
from perfsuite.results.images import ImageScore
from perfsuite.results.machine import Environment
from perfsuite.workload import Shot, Workload

EXACTNESS_SHOTS = 4
"""How many images the exactness stage holds against float32 pixels."""


@dataclass(frozen=True)
class References:
    """Reference images, loaded or just made.

    Attributes:
        images: one for each shot, 8-bit levels from 0 to 1.
        latents: final latents, one for each shot.
        pixels: float32 pixels of the exactness shots, by the shot's index.
        folder: where they lie; None if they are kept nowhere.
        environment: where they were made; None if they are kept nowhere.
    """

    images: tuple[Pixels, ...]
    latents: tuple[Latents, ...]
    pixels: dict[int, Pixels]
    folder: Path | None = None
    environment: Environment | None = None

    def image(self, shot: Shot) -> Pixels:
        """The reference of a shot."""
        return self.images[shot.index]

    def score(
        self, images: Iterable[GeneratedImage], workload: Workload, *, in_eight_bits: bool = True
    ) -> tuple[ImageScore, ...]:
        """Scores of images of the same workload, in their order.

        Args:
            images: of any shots; with float pixels of the exactness shots only.
            workload: that they were made for.
            in_eight_bits: hold the PNG that a user would get against the stored one; otherwise
                float32 pixels.
        """
        return tuple(
            score_image(
                image,
                workload,
                self.image(image.shot) if in_eight_bits else self.pixels[image.shot.index],
                self.latents[image.shot.index],
                in_eight_bits=in_eight_bits,
            )
            for image in images
        )

    def versions_since(self, environment: Environment) -> tuple[str, ...]:
        """Packages that they were made with in another version, as 'torch 2.13.0 (now 2.14.1)'."""
        if self.environment is None:
            return ()
        now = environment.packages
        return tuple(
            f"{name} {version} (now {now.get(name, 'not installed')})"
            for name, version in self.environment.packages.items()
            if now.get(name) != version
        )


def exactness_shots(workload: Workload) -> tuple[Shot, ...]:
    """The shots whose float32 pixels are kept: evenly spread over prompts and seeds."""
    shots = tuple(workload.shots())
    stride = max(1, len(shots) // EXACTNESS_SHOTS)
    return shots[::stride][:EXACTNESS_SHOTS]


def references_of(images: Iterable[GeneratedImage], workload: Workload) -> References:
    """References that are kept nowhere, from images in the order of the workload's shots."""
    made = tuple(images)
    kept = {shot.index for shot in exactness_shots(workload)}
    return References(
        images=tuple(as_eight_bits(image.pixels) for image in made),
        latents=tuple(image.latents for image in made),
        pixels={image.shot.index: image.pixels for image in made if image.shot.index in kept},
    )


def encode_png(pixels: Pixels) -> bytes:
    """A PNG of 8 bits per channel from height x width x 3 pixels from 0 to 1."""
    buffer = io.BytesIO()
    levels = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(levels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
