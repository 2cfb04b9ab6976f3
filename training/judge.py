"""Every figure of the model card: `python -m training.judge --checkpoint DIR [--json FILE]`.

The judge of content is a classifier fitted on renders; whether the pictures are worth looking at
is for people: see the pictures that `python -m training.pictures` draws.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.utils import logging as diffusers_logging
from rich.console import Console
from skimage.metrics import structural_similarity
from torch import Tensor
from transformers.utils import logging as transformers_logging

from perfsuite.images.content import SceneClassifier
from training import captions, scenes
from training.classifier import (
    Accuracy,
    ClassifierSettings,
    accuracy,
    fit,
    new_classifier,
    recognised,
    rendered,
)
from training.loop import write_atomically
from training.models import parameters_of
from training.vae import held_out, held_out_scenes, psnr_db, reconstruct

SEEDS = 4
GUIDANCE = 5.0
TIMED_STEPS = 30
TIMED_IMAGES = 5
HELD_OUT = 432  # renders to reconstruct: every scene twice
CLASSIFIER_HELD_OUT = 1080  # renders to classify: every scene five times
BATCH = 24
NETWORKS = ("unet", "vae", "text_encoder", "text_encoder_2")
PARTS = ("subject", "place", "palette")


@dataclass(frozen=True)
class Figures:
    """What the model card states, and under which settings it was measured."""

    vae_psnr_db: float
    vae_psnr_jungle_db: float
    on_renders: Accuracy
    on_generated: Accuracy
    missed: dict[str, int]
    generated_steps: int
    guidance: float
    seed_ssim: float
    rendered_ssim: float
    image_s: float
    load_s: float
    weights_bytes: int
    parameters: dict[str, int]
    threads: int


def load(checkpoint: Path) -> StableDiffusionXLPipeline:
    """The pipeline as a user gets it, in float32."""
    pipe = StableDiffusionXLPipeline.from_pretrained(checkpoint, variant="fp16")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generator(scene_number: int, seed: int) -> torch.Generator:
    """A seed for every scene and every one of its pictures."""
    return torch.Generator().manual_seed(SEEDS * scene_number + seed)


def generate(
    pipe: StableDiffusionXLPipeline, seeds: int, steps: int, console: Console
) -> tuple[Tensor, list[scenes.Scene]]:
    """Pictures of every scene at `seeds` seeds, scene by scene, (216 * seeds, 3, 64, 64)."""
    jobs = list(itertools.product(enumerate(scenes.every_scene()), range(seeds)))
    pictures = []
    for start in range(0, len(jobs), BATCH):
        some = jobs[start : start + BATCH]
        made = pipe(
            [captions.prompt(scene) for (_, scene), _ in some],
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            generator=[generator(number, seed) for (number, _), seed in some],
            output_type="pt",
        ).images
        pictures.append(made * 2 - 1)
        console.print(f"generated {start + len(some)}/{len(jobs)}", highlight=False)
    return torch.cat(pictures), [scene for (_, scene), _ in jobs]


def similarity(first: Tensor, second: Tensor) -> float:
    """SSIM of two pictures (3, h, w) in -1..1, Gaussian window of 1.5 pixels."""
    a, b = (((picture + 1) / 2).permute(1, 2, 0).numpy() for picture in (first, second))
    return float(
        structural_similarity(
            a,
            b,
            data_range=1.0,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def seed_similarity(pictures: Tensor, seeds: int) -> float:
    """Mean SSIM over all pairs of seeds of each prompt; `seeds` neighbours share a prompt."""
    scores = [
        similarity(first, second)
        for group in torch.split(pictures, seeds)
        for first, second in itertools.combinations(group, 2)
    ]
    return statistics.mean(scores)


def rendered_similarity() -> float:
    """The same for renders: how much the world itself leaves open."""
    scores = []
    for number, scene in enumerate(scenes.every_scene()):
        pair = [scenes.render(scene, scenes.dice(0, "pairs", 2 * number + k)) for k in (0, 1)]
        first, second = torch.from_numpy(np.stack(pair)).permute(0, 3, 1, 2) / 127.5 - 1
        scores.append(similarity(first, second))
    return statistics.mean(scores)


def load_seconds(checkpoint: Path) -> float:
    """Median of five loads; the first, which also imports, is left out."""
    load(checkpoint)
    return statistics.median(_seconds(lambda: load(checkpoint)) for _ in range(5))


def image_seconds(pipe: StableDiffusionXLPipeline) -> float:
    """Median seconds of one picture, batch 1, float32, after one to warm up."""
    words = captions.prompt(scenes.Scene("astronaut", "jungle", "cold"))

    def one() -> object:
        dice = torch.Generator().manual_seed(0)
        return pipe(words, num_inference_steps=TIMED_STEPS, guidance_scale=GUIDANCE, generator=dice)

    one()
    return statistics.median(_seconds(one) for _ in range(TIMED_IMAGES))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def missed(hits: Tensor, shown: list[scenes.Scene]) -> dict[str, int]:
    """How many pictures of each subject, place and palette were not recognised as such."""
    counts: Counter[str] = Counter()
    for scene, row in zip(shown, hits.tolist(), strict=True):
        counts.update(getattr(scene, part) for part, hit in zip(PARTS, row, strict=True) if not hit)
    return dict(counts.most_common())


def weights_bytes(checkpoint: Path) -> int:
    """Size of everything in the folder."""
    return sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file())


def judge(
    checkpoint: Path, classifier: SceneClassifier, seeds: int, steps: int, console: Console
) -> Figures:
    """Measure all figures of one checkpoint."""
    load_s = load_seconds(checkpoint)
    pipe = load(checkpoint)
    image_s = image_seconds(pipe)
    renders = held_out(HELD_OUT)
    quality = psnr_db(reconstruct(pipe.vae, renders), renders)
    jungle = torch.tensor([scene.place == "jungle" for scene in held_out_scenes(HELD_OUT)])
    unseen, shown = rendered(0, "classifier held-out", 0, CLASSIFIER_HELD_OUT)
    made, asked = generate(pipe, seeds, steps, console)
    hits = recognised(classifier, made, asked)
    return Figures(
        vae_psnr_db=float(quality.mean()),
        vae_psnr_jungle_db=float(quality[jungle].mean()),
        on_renders=accuracy(recognised(classifier, unseen, shown)),
        on_generated=accuracy(hits),
        missed=missed(hits, asked),
        generated_steps=steps,
        guidance=GUIDANCE,
        seed_ssim=seed_similarity(made, seeds),
        rendered_ssim=rendered_similarity(),
        image_s=image_s,
        load_s=load_s,
        weights_bytes=weights_bytes(checkpoint),
        parameters={name: parameters_of(getattr(pipe, name)) for name in NETWORKS},
        threads=torch.get_num_threads(),
    )


def summary(figures: Figures) -> str:
    """The figures as lines for people."""
    generated, renders = figures.on_generated, figures.on_renders
    return "\n".join(
        (
            f"VAE reconstruction   {figures.vae_psnr_db:.2f} dB PSNR"
            f" (jungle {figures.vae_psnr_jungle_db:.2f} dB)",
            f"judge on renders     {_shares(renders)}",
            f"judge on generated   {_shares(generated)}",
            f"missed most          {figures.missed}",
            f"SSIM between seeds   {figures.seed_ssim:.3f} (renders {figures.rendered_ssim:.3f})",
            f"one image            {figures.image_s:.3f} s, {TIMED_STEPS} steps,"
            f" {figures.threads} thread(s), float32",
            f"load                 {figures.load_s:.3f} s",
            f"size                 {figures.weights_bytes / 1e6:.2f} MB, {figures.parameters}",
        )
    )


def _shares(measured: Accuracy) -> str:
    return (
        f"subject {measured.subject:.2%}, place {measured.place:.2%},"
        f" palette {measured.palette:.2%} of {measured.pictures} pictures"
    )


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.judge", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--classifier", type=Path, help="remember the fitted classifier here")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--steps", type=int, default=20, help="of the judged pictures")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(words)


def remembered_classifier(path: Path | None, console: Console) -> SceneClassifier:
    """The classifier kept in the file, or a freshly fitted one, kept there if a file is named."""
    if path is not None and path.exists():
        classifier = new_classifier()
        classifier.load_state_dict(torch.load(path, weights_only=True))
        return classifier.eval()
    classifier = fit(ClassifierSettings(), console)
    if path is not None:
        write_atomically(path, lambda beside: torch.save(classifier.state_dict(), beside))
    return classifier


def main(words: list[str] | None = None) -> int:
    """The door: prints the figures, writes them as JSON if asked."""
    asked = arguments(words)
    console = Console(stderr=True)
    torch.set_num_threads(asked.threads)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        scenes.font_path()
        classifier = remembered_classifier(asked.classifier, console)
    except scenes.FontMissing as problem:
        print(f"training.judge: {problem}", file=sys.stderr)
        return 2
    figures = judge(asked.checkpoint, classifier, asked.seeds, asked.steps, console)
    print(summary(figures))
    if asked.json is not None:
        text = json.dumps(asdict(figures), indent=2) + "\n"
        write_atomically(asked.json, lambda beside: beside.write_text(text))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
