"""What a pipeline is asked to do: prompts, seeds, steps, guidance and size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import msgspec


@dataclass(frozen=True)
class Shot:
    """One image to make: a prompt, the seed of its first noise, and its place in the workload."""

    index: int
    prompt: str
    seed: int


@dataclass(frozen=True)
class Workload:
    """A fixed piece of work; two runs are comparable only when their workloads are equal.

    Attributes:
        prompts: one or more prompts; every prompt is made with every seed.
        seeds: seeds of a CPU generator, so that every device starts from the same noise.
        steps: denoising steps.
        guidance_scale: classifier-free guidance; above 1 the UNet sees a batch of two.
        height: pixels.
        width: pixels.
        batch_size: images per call.

    Raises:
        ValueError: a field is empty or not positive.
    """

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int
    guidance_scale: float
    height: int
    width: int
    batch_size: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.prompts, str):
            raise ValueError("prompts are a tuple of texts, not one text")
        if not self.prompts or not self.seeds:
            raise ValueError("a workload needs at least one prompt and one seed")
        if min(self.steps, self.height, self.width, self.batch_size) < 1:
            raise ValueError("steps, height, width and batch size must be positive")

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name this workload in baselines and references."""
        fields = asdict(self) | {"guidance_scale": float(self.guidance_scale)}
        canonical = msgspec.json.encode(fields, order="sorted")
        return hashlib.sha256(canonical).hexdigest()[:12]

    def shots(self) -> Iterator[Shot]:
        """Every prompt with every seed, prompts outermost, always in the same order."""
        for row, prompt in enumerate(self.prompts):
            for column, seed in enumerate(self.seeds):
                yield Shot(row * len(self.seeds) + column, prompt, seed)
