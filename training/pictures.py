"""Draw the documentation's pictures: `python -m training.pictures --checkpoint DIR --out DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.utils import logging as diffusers_logging
from PIL import Image, ImageDraw, ImageFont
from transformers.utils import logging as transformers_logging

from training import captions, scenes
from training.judge import GUIDANCE, load
from training.loop import write_atomically

STEPS = 30
CELL = 112  # pixels of one picture on the page
LABEL = 18  # pixels for a line of text
INK, PAPER = (40, 40, 40), (255, 255, 255)
SEED_SCENES = (
    scenes.Scene("astronaut", "jungle", "cold"),
    scenes.Scene("fox", "snow", "plain"),
    scenes.Scene("robot", "city", "warm"),
)
SEED_COLUMNS = 8


def draw(
    pipe: StableDiffusionXLPipeline, prompts: list[str], seeds: list[int]
) -> list[Image.Image]:
    """One picture per prompt and seed, in full steps."""
    made: list[Image.Image] = pipe(
        prompts,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
    ).images
    return made


def sheet(rows: list[list[Image.Image]], above: list[str], beside: list[str]) -> Image.Image:
    """Pictures in rows, a label above each column and beside each row."""
    font = ImageFont.load_default(13)
    left = round(max((font.getlength(text) for text in beside), default=0)) + 12
    size = (left + CELL * len(rows[0]), LABEL + CELL * len(rows))
    page = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(page)
    for column, text in enumerate(above):
        pen.text((left + CELL * (column + 0.5), 2), text, INK, font, anchor="ma")
    for row, text in enumerate(beside):
        pen.text((left - 6, LABEL + CELL * (row + 0.5)), text, INK, font, anchor="rm")
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            enlarged = picture.resize((CELL, CELL), Image.Resampling.LANCZOS)
            page.paste(enlarged, (left + CELL * column, LABEL + CELL * row))
    return page


def matrix(pipe: StableDiffusionXLPipeline) -> Image.Image:
    """Every subject in every place, the palettes taking turns along the diagonals."""
    rows = []
    for row, place in enumerate(scenes.PLACES):
        prompts = [
            captions.prompt(scenes.Scene(subject, place, scenes.PALETTES[(column + row) % 3]))
            for column, subject in enumerate(scenes.SUBJECTS)
        ]
        rows.append(draw(pipe, prompts, [100 * row + column for column in range(len(prompts))]))
    return sheet(rows, list(scenes.SUBJECTS), list(scenes.PLACES))


def seeds(pipe: StableDiffusionXLPipeline) -> Image.Image:
    """Eight seeds of one prompt, for a few prompts."""
    numbers = list(range(SEED_COLUMNS))
    rows = [draw(pipe, [captions.prompt(scene)] * SEED_COLUMNS, numbers) for scene in SEED_SCENES]
    beside = [f"{one.subject}, {one.place}, {one.palette}" for one in SEED_SCENES]
    return sheet(rows, [f"seed {number}" for number in numbers], beside)


def save(picture: Image.Image, path: Path) -> None:
    """As a PNG, whole or not at all."""
    write_atomically(path, lambda beside: picture.save(beside, "PNG", optimize=True))


def main(words: list[str] | None = None) -> int:
    """The door: writes pocket-matrix.png and pocket-seeds.png."""
    parser = argparse.ArgumentParser(prog="python -m training.pictures", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(words)
    torch.set_num_threads(asked.threads)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    pipe = load(asked.checkpoint)
    save(matrix(pipe), asked.out / "pocket-matrix.png")
    save(seeds(pipe), asked.out / "pocket-seeds.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
