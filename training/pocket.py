"""Train the pocket checkpoint from nothing: `python -m training.pocket --out DIR [--resume]`.

Three stages follow each other: the autoencoder, the denoiser with its text encoders, and the
decoder once more. Each keeps `DIR/STAGE.pt`, so that Ctrl-C, a crash or a closed laptop costs
minutes; `--resume` goes on. The result is `DIR/pocket`, a diffusers pipeline in half precision.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.utils import logging as diffusers_logging
from rich.console import Console
from transformers.utils import logging as transformers_logging

from training import scenes
from training.assembly import Denoiser, pipeline, save_half
from training.denoiser import DenoiserSettings, DenoiserStage, cached_latents
from training.loop import Interrupted, Schedule, train
from training.models import UNET_CHANNELS
from training.vae import DecoderStage, VaeSettings, VaeStage, set_latent_scale


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome, besides the font's drawings."""

    vae: VaeSettings = field(default_factory=VaeSettings)
    denoiser: DenoiserSettings = field(default_factory=DenoiserSettings)
    channels: tuple[int, int, int] = UNET_CHANNELS
    vae_steps: int = 6500
    denoiser_steps: int = 4050
    decoder_steps: int = 1200
    checkpoint_every_s: float = 120.0
    sample_every_s: float = 300.0

    def schedule(self, steps: int) -> Schedule:
        """A stage's length, with the recipe's habits of saving."""
        return Schedule(steps, self.checkpoint_every_s, self.sample_every_s)


class OutputTaken(Exception):
    """The output folder holds something and nobody said --resume."""


def prepare(out: Path, resume: bool) -> None:
    """Refuse, before the slow part, what would fail or overwrite later."""
    scenes.font_path()
    if out.exists() and not out.is_dir():
        raise OutputTaken(f"{out} is not a folder; choose another --out")
    if out.is_dir() and any(out.iterdir()) and not resume:
        raise OutputTaken(f"{out} is not empty: pass --resume to go on, or choose another --out")
    out.mkdir(parents=True, exist_ok=True)


def run(recipe: Recipe, out: Path, console: Console) -> Path:
    """All stages in turn, each resumed where it stopped; returns the finished checkpoint."""
    vae_stage = VaeStage(recipe.vae)
    train(vae_stage, recipe.schedule(recipe.vae_steps), out, console)
    vae = vae_stage.average
    set_latent_scale(vae, recipe.vae.seed)

    latents = cached_latents(vae, recipe.denoiser, out, console)
    denoiser_stage = DenoiserStage(recipe.denoiser, vae, latents, recipe.channels)
    train(denoiser_stage, recipe.schedule(recipe.denoiser_steps), out, console)

    decoder_stage = DecoderStage(recipe.vae, vae)
    train(decoder_stage, recipe.schedule(recipe.decoder_steps), out, console)
    return publish(decoder_stage.average, denoiser_stage.average, out / "pocket")


def publish(vae: AutoencoderKL, denoiser: Denoiser, folder: Path) -> Path:
    """Write the checkpoint beside its place, then put it there; an older one is kept as `.old`."""
    beside, old = folder.with_name(".pocket.new"), folder.with_name("pocket.old")
    shutil.rmtree(beside, ignore_errors=True)
    save_half(pipeline(vae, denoiser), beside)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    return beside.rename(folder)


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    default = Recipe()
    parser = argparse.ArgumentParser(prog="python -m training.pocket", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--resume", action="store_true", help="go on in a folder already begun")
    parser.add_argument("--vae-steps", type=int, default=default.vae_steps)
    parser.add_argument("--denoiser-steps", type=int, default=default.denoiser_steps)
    parser.add_argument("--decoder-steps", type=int, default=default.decoder_steps)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU; the recipe used one")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """The door: returns the exit code, and says what is wrong in one line."""
    asked = arguments(words)
    console = Console(stderr=True)
    torch.set_num_threads(asked.threads)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    recipe = replace(
        Recipe(),
        vae_steps=asked.vae_steps,
        denoiser_steps=asked.denoiser_steps,
        decoder_steps=asked.decoder_steps,
    )
    try:
        prepare(asked.out, asked.resume)
        checkpoint = run(recipe, asked.out, console)
    except (scenes.FontMissing, OutputTaken) as problem:
        print(f"training.pocket: {problem}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        print(f"training.pocket: {stop}", file=sys.stderr)
        return 130
    print(checkpoint)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
