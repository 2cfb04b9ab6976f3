"""What a pipeline is asked to do: prompts, seeds, steps, guidance and size."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

DEFAULT_WORKLOAD = "default"
"""Names the checkpoint's own workload."""


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
        import msgspec  # here, because every pytest session imports this module

        fields = asdict(self) | {"guidance_scale": float(self.guidance_scale)}
        canonical = msgspec.json.encode(fields, order="sorted")
        return hashlib.sha256(canonical).hexdigest()[:12]

    def shots(self) -> Iterator[Shot]:
        """Every prompt with every seed, prompts outermost, always in the same order."""
        for row, prompt in enumerate(self.prompts):
            for column, seed in enumerate(self.seeds):
                yield Shot(row * len(self.seeds) + column, prompt, seed)


@dataclass(frozen=True)
class Asked:
    """What a person chose to be measured, so that an advised command names the same again.

    Attributes:
        checkpoint: name or folder, as it was given; None where the default holds.
        options: workload options with their values, as text.
    """

    checkpoint: str | None = None
    options: tuple[tuple[str, str], ...] = ()

    def command(self, name: str) -> str:
        """A command of perfsuite that takes the checkpoint as its argument."""
        checkpoint = f" {shlex.quote(self.checkpoint)}" if self.checkpoint else ""
        return f"perfsuite {name}{checkpoint}{_spelled(self.options, '--')}"

    def recording(self, options: str = "--runs 5") -> str:
        """`perfsuite record`, which takes the rest as pytest does."""
        checkpoint = (("checkpoint", self.checkpoint),) if self.checkpoint else ()
        return f"perfsuite record {options}{_spelled((*checkpoint, *self.options), '--perf-')}"


NOTHING_ASKED = Asked()


def _spelled(options: tuple[tuple[str, str], ...], flag: str) -> str:
    """Options as a shell takes them, each with a space before."""
    return "".join(f" {flag}{name} {shlex.quote(value)}" for name, value in options)


@dataclass(frozen=True)
class Overrides:
    """What a person asks for instead of a checkpoint's own workloads; None changes nothing.

    Attributes:
        name: of the `[tool.perfsuite.workloads.NAME]` table; None without one.
        options: by which a command is told the same, with their values as text.
        prompts: the first is timed; several make the images that are scored, too.
        seeds: the first is timed; all make the images that are scored.
        steps: denoising steps.
        guidance_scale: classifier-free guidance.
        size: width and height in pixels.
        batch_size: images per call that is timed; images are scored one by one.
    """

    name: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    prompts: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    size: tuple[int, int] | None = None
    batch_size: int | None = None


@dataclass(frozen=True)
class Workloads:
    """What one row of the matrix is asked to do.

    Attributes:
        latency: the workload whose time is measured.
        quality: the workload whose images are scored.
        name: of the table that it is from, or `default`.
        options: by which a command is told to use it, with their values as text.
        latency_label: tells its baselines from those of the checkpoint's own workload; None for
            that one.
        quality_label: the same for references and thresholds.
    """

    latency: Workload
    quality: Workload
    name: str = DEFAULT_WORKLOAD
    options: tuple[tuple[str, str], ...] = ()
    latency_label: str | None = None
    quality_label: str | None = None

    def changed(self, asked: Overrides) -> Workloads:
        """These workloads with overrides.

        Steps, guidance and size hold for both; batch size is that of the timed workload alone, and
        a single prompt is what is timed: the images that are scored keep prompts and seeds of their
        own unless several are named.
        """
        both = _present(
            steps=asked.steps,
            guidance_scale=asked.guidance_scale,
            width=asked.size and asked.size[0],
            height=asked.size and asked.size[1],
        )
        timed = _present(
            prompts=asked.prompts and asked.prompts[:1],
            seeds=asked.seeds and asked.seeds[:1],
            batch_size=asked.batch_size,
        )
        several = asked.prompts if asked.prompts and len(asked.prompts) > 1 else None
        scored = _present(prompts=several, seeds=asked.seeds)
        latency = replace(self.latency, **both, **timed)
        quality = replace(self.quality, **both, **scored)
        # A name stands for what its table says; with options on top of it, only the digest does.
        label = asked.name if asked.options == (("workload", asked.name),) else None
        return Workloads(
            latency,
            quality,
            asked.name or DEFAULT_WORKLOAD,
            asked.options,
            None if latency == self.latency else label or latency.digest,
            None if quality == self.quality else label or quality.digest,
        )


def labelled(checkpoint: str, label: str | None) -> str:
    """Name of the files of a checkpoint's baselines, references or thresholds for a workload."""
    return f"{checkpoint}--{label}" if label else checkpoint


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
