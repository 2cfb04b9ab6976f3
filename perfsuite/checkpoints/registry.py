"""The table of checkpoints, and how a name or a path is looked up in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from perfsuite.checkpoints.adapter import Adapter
from perfsuite.checkpoints.folder import FolderSource
from perfsuite.checkpoints.hub import LCM_LORA, SSD_1B, HubSource
from perfsuite.checkpoints.layout import single_file
from perfsuite.checkpoints.random import RandomSdxlSource
from perfsuite.checkpoints.variant import VariantSource
from perfsuite.errors import CheckpointError
from perfsuite.results.method import Configuration
from perfsuite.workload import Overrides, Workload, Workloads

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

LCM, SSD = "lcm-lora", "ssd-1b"
"""Methods that need weights of each checkpoint's own."""
_SHIPPED = Path(__file__).parent
TUTORIAL_PROMPT = "Astronaut in a jungle, cold color palette, muted colors, detailed, 8k"

_POCKET_PROMPTS = (
    TUTORIAL_PROMPT,
    "Cat in a desert, warm color palette, detailed",
    "A fox in the snow",
    "Robot in a city, cold color palette",
    "A photo of a panda in space",
    "Penguin in a sea, warm color palette, 8k",
)
_SDXL_PROMPTS = (
    TUTORIAL_PROMPT,
    "A lighthouse on a cliff at dusk, oil painting",
    "Close-up photo of a red fox in fresh snow, shallow depth of field",
    "Isometric drawing of a small library with large windows",
    "Street market in the rain, neon signs, reflections, film grain",
    "A bowl of lemons on a blue table, morning light",
)


class Source(Protocol):
    """Something that a pipeline can be loaded from."""

    def check(self) -> None:
        """Find out, quickly and before any weight is loaded, whether `load` can work.

        Raises:
            CheckpointError: it cannot; the message names the way out.
        """

    def identity(self) -> str:
        """What tells these weights from others: a digest, or a repository with its revision."""

    def configuration(self) -> Configuration:
        """What tells its configs, scheduler and tokenizers from others."""

    def load(self, dtype: torch.dtype, torch_device: str) -> StableDiffusionXLPipeline:
        """A new pipeline with weights of `dtype` on `torch_device`."""


@dataclass(frozen=True)
class Counterpart:
    """Stands in a tier's row for what each checkpoint has of its own for one method.

    Attributes:
        method: names the method, as the checkpoints do.
    """

    method: str


@dataclass(frozen=True)
class Checkpoint:
    """Weights, and the work that they are measured with.

    Attributes:
        name: names the checkpoint in options and baselines.
        source: where the weights come from.
        latency: the workload whose time is measured.
        quality: the workload whose images are scored.
        about: one line for people.
        portable_references: whether reference images made on one machine hold on another; not so
            for long schedules at full size, which diverge between GPU models.
        has_pictures: whether its images show anything; those of random weights are noise, and are
            not scored.
        adapters: LoRA weights that were made for it, by the method that they serve.
        variants: names of checkpoints that were made from it, likewise.
        classifier: folder of a classifier of what its pictures show; None without one.
    """

    name: str
    source: Source
    latency: Workload
    quality: Workload
    about: str
    portable_references: bool = False
    has_pictures: bool = True
    adapters: Mapping[str, Adapter] = field(default_factory=dict, hash=False)
    variants: Mapping[str, str] = field(default_factory=dict, hash=False)
    classifier: Path | None = None

    def workloads(self, asked: Overrides = Overrides()) -> Workloads:  # noqa: B008
        """The checkpoint's own workloads, with what a person asks for instead."""
        return Workloads(self.latency, self.quality).changed(asked)


def _sdxl_workloads() -> tuple[Workload, Workload]:
    latency = Workload((TUTORIAL_PROMPT,), (0,), 30, 5.0, 1024, 1024)
    return latency, Workload(_SDXL_PROMPTS, (0, 1), 30, 5.0, 1024, 1024)


def _pockets() -> tuple[Checkpoint, ...]:
    """The miniature and what was distilled from it; all of them ship in the package."""
    latency = Workload((TUTORIAL_PROMPT,), (0,), 10, 5.0, 64, 64)
    quality = Workload(_POCKET_PROMPTS, (0, 1), 30, 5.0, 64, 64)
    whole = FolderSource(_SHIPPED / "pocket")
    pocket = Checkpoint(
        "pocket",
        whole,
        latency,
        quality,
        about="SDXL in miniature, trained, ships in the package: 64x64 pixels, no network needed",
        portable_references=True,
        adapters={LCM: Adapter(str(_SHIPPED / "pocket-lcm"))},
        variants={SSD: "pocket-ssd"},
        classifier=_SHIPPED / "pocket-classifier",
    )
    smaller = Checkpoint(
        "pocket-ssd",
        VariantSource(whole, _SHIPPED / "pocket-ssd"),
        latency,
        quality,
        "pocket around a UNet of half the size, distilled from its own; ships in the package",
        portable_references=True,
        classifier=_SHIPPED / "pocket-classifier",
    )
    return pocket, smaller


def _built_in() -> dict[str, Checkpoint]:
    latency, quality = _sdxl_workloads()
    made_for_sdxl: dict[str, Any] = {
        "adapters": {LCM: Adapter(LCM_LORA[0], revision=LCM_LORA[1])},
        "variants": {SSD: "ssd-1b"},
    }
    sdxl = Checkpoint(
        "sdxl", HubSource(), latency, quality, "SDXL base 1.0 from the hub", **made_for_sdxl
    )
    fixed = Checkpoint(
        "sdxl-fp16-vae",
        HubSource(fp16_vae=True),
        latency,
        quality,
        "SDXL base 1.0 with the VAE that does not overflow in fp16",
        **made_for_sdxl,
    )
    smaller = Checkpoint(
        "ssd-1b",
        HubSource(repository=SSD_1B),
        latency,
        quality,
        "SSD-1B from the hub: SDXL around a UNet of half the size",
    )
    random = Checkpoint(
        "sdxl-random",
        RandomSdxlSource(),
        latency,
        quality,
        "SDXL's full-size configuration with seeded random weights; nothing is downloaded",
        has_pictures=False,
    )
    return {each.name: each for each in (*_pockets(), sdxl, fixed, smaller, random)}


_CHECKPOINTS = _built_in()


def checkpoint_names() -> tuple[str, ...]:
    """Names of all registered checkpoints."""
    return tuple(_CHECKPOINTS)


def register_checkpoint(checkpoint: Checkpoint) -> None:
    """Add a checkpoint to the table.

    Raises:
        CheckpointError: the name is taken.
    """
    if checkpoint.name in _CHECKPOINTS:
        raise CheckpointError(
            f"checkpoint '{checkpoint.name}' is registered already", hint="choose another name"
        )
    _CHECKPOINTS[checkpoint.name] = checkpoint


def find_checkpoint(wish: str) -> Checkpoint:
    """The checkpoint of that name, or of a local folder in the layout of `save_pretrained`.

    A local folder is measured with SDXL's workloads at the size its own UNet was made for.

    Raises:
        CheckpointError: neither a registered name nor a folder that says how large its images are;
            what else is wrong with a folder is said by its source's `check`.
    """
    if wish in _CHECKPOINTS:
        return _CHECKPOINTS[wish]
    folder = Path(os.path.expanduser(wish))
    if os.path.isfile(folder):
        raise single_file(folder)
    if not os.path.isdir(folder):
        raise CheckpointError(
            f"unknown checkpoint '{wish}'",
            hint=f"--perf-checkpoint takes {', '.join(_CHECKPOINTS)}, or a local folder",
        )
    source = FolderSource(folder.resolve())
    size = source.native_size()
    latency, quality = _sdxl_workloads()
    return Checkpoint(
        folder.resolve().name,
        source,
        _resized(latency, *size),
        _resized(quality, *size),
        f"local folder {folder}",
    )


def _resized(workload: Workload, height: int, width: int) -> Workload:
    return replace(workload, height=height, width=width)
