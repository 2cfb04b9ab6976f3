"""Distil the pocket into faster methods: `python -m training.methods lcm|ssd --out DIR`.

`lcm` is an adapter for four steps, `ssd` a UNet of half the size. Both learn from the pocket
itself. Each keeps `DIR/STAGE.pt`, so that Ctrl-C or a crash costs minutes; `--resume` goes on.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.utils import logging as diffusers_logging
from rich.console import Console
from transformers.utils import logging as transformers_logging

from training import scenes
from training.compression import CompressionSettings, CompressionStage
from training.consistency import ConsistencySettings, ConsistencyStage
from training.denoiser import DenoiserSettings, cached_latents
from training.loop import Interrupted, Schedule, train
from training.pocket import OutputTaken, prepare
from training.teacher import Teacher

POCKET = Path("perfsuite/checkpoints/pocket")
STEPS = {"lcm": 600, "ssd": 900}


def new_stage(kind: str, teacher: Teacher, batch: int) -> ConsistencyStage | CompressionStage:
    """The stage of that kind, with the recipe's settings."""
    if kind == "lcm":
        return ConsistencyStage(replace(ConsistencySettings(), batch=batch), teacher)
    return CompressionStage(replace(CompressionSettings(), batch=batch), teacher)


def run(asked: argparse.Namespace, console: Console) -> Path:
    """Train to the last step, resuming where it stopped; returns the finished weights' folder."""
    vae = AutoencoderKL.from_pretrained(asked.checkpoint, subfolder="vae", variant="fp16")
    latents = cached_latents(vae, DenoiserSettings(renders=asked.renders), asked.out, console)
    teacher = Teacher(asked.checkpoint, latents, seed=0)
    stage = new_stage(asked.kind, teacher, asked.batch)
    schedule = Schedule(asked.steps or STEPS[asked.kind], 120.0, 300.0)
    train(stage, schedule, asked.out, console)
    folder: Path = asked.out / asked.kind
    stage.save(folder)
    return folder


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.methods", description=__doc__)
    parser.add_argument("kind", choices=tuple(STEPS))
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--checkpoint", type=Path, default=POCKET, help="the teacher")
    parser.add_argument("--resume", action="store_true", help="go on in a folder already begun")
    parser.add_argument("--steps", type=int, help=f"default: {STEPS}")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--renders", type=int, default=DenoiserSettings().renders)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU; the recipe used one")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """The door: returns the exit code, and says what is wrong in one line."""
    asked = arguments(words)
    console = Console(stderr=True)
    torch.set_num_threads(asked.threads)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        prepare(asked.out, asked.resume)
        folder = run(asked, console)
    except (scenes.FontMissing, OutputTaken) as problem:
        print(f"training.methods: {problem}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        print(f"training.methods: {stop}", file=sys.stderr)
        return 130
    print(folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
