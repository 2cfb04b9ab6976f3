"""A small classifier of scenes, fitted on renders alone: it never sees a generated picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from perfsuite.images.content import LABELS, WEIGHTS, SceneClassifier
from training import scenes
from training.loop import cosine, write_atomically
from training.vae import to_tensor

SUBJECTS = tuple(scenes.SUBJECTS)
PLACES = tuple(scenes.PLACES)
PALETTES = scenes.PALETTES


@dataclass(frozen=True)
class ClassifierSettings:
    """How the classifier is fitted."""

    steps: int = 1200
    batch: int = 32
    learning_rate: float = 3e-3
    seed: int = 0


@dataclass(frozen=True)
class Accuracy:
    """Shares of pictures whose part of the caption was recognised, 0..1."""

    pictures: int
    subject: float
    place: float
    palette: float


PARTS = {"subject": SUBJECTS, "place": PLACES, "palette": PALETTES}


def new_classifier() -> SceneClassifier:
    """Untrained."""
    return SceneClassifier({name: len(labels) for name, labels in PARTS.items()})


def save(classifier: SceneClassifier, folder: Path) -> None:
    """Write weights in half precision, and the labels, as the package ships them."""
    weights = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in classifier.state_dict().items()
    }
    write_atomically(folder / WEIGHTS, lambda beside: save_file(weights, beside))
    text = json.dumps({name: list(labels) for name, labels in PARTS.items()}, indent=2) + "\n"
    write_atomically(folder / LABELS, lambda beside: beside.write_text(text))


def labels(shown: list[scenes.Scene]) -> Tensor:
    """Numbers of subject, place and palette, (n, 3)."""
    return torch.tensor(
        [
            [SUBJECTS.index(one.subject), PLACES.index(one.place), PALETTES.index(one.palette)]
            for one in shown
        ]
    )


def rendered(seed: int, stream: str, start: int, count: int) -> tuple[Tensor, list[scenes.Scene]]:
    """Renders `start` to `start + count` of a stream, (count, 3, 64, 64), and their scenes.

    Every scene comes in turn, so that any 216 neighbours show the whole world.
    """
    world = scenes.every_scene()
    # 65 shares no factor with 216: neighbours in a batch show different scenes.
    shown = [world[(65 * i) % len(world)] for i in range(start, start + count)]
    pictures = [
        scenes.render(scene, scenes.dice(seed, stream, start + i)) for i, scene in enumerate(shown)
    ]
    return to_tensor(np.stack(pictures)), shown


def soften(pictures: Tensor, dice: torch.Generator) -> Tensor:
    """Blur every second picture and add noise to all: a judge must not need the last sharpness."""
    blurred = functional.avg_pool2d(functional.pad(pictures, (1,) * 4, mode="replicate"), 3, 1)
    mixed = pictures.clone()
    mixed[1::2] = blurred[1::2]
    return mixed + 0.05 * torch.randn(mixed.shape, generator=dice)


def fit(settings: ClassifierSettings, console: Console) -> SceneClassifier:
    """A classifier fitted on fresh renders; the same settings give the same classifier."""
    dice = torch.Generator().manual_seed(settings.seed)
    torch.manual_seed(settings.seed)
    classifier = new_classifier()
    optimiser = torch.optim.AdamW(classifier.parameters(), weight_decay=1e-2)
    for step in range(settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * cosine(step, step / settings.steps)
        pictures, shown = rendered(
            settings.seed, "classifier", step * settings.batch, settings.batch
        )
        guesses, wanted = classifier(soften(pictures, dice)), labels(shown)
        loss = sum(
            functional.cross_entropy(guess, wanted[:, part]) for part, guess in enumerate(guesses)
        )
        assert isinstance(loss, Tensor)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        if step % 200 == 199:
            console.print(f"classifier {step + 1}/{settings.steps}: loss {loss.item():.4f}")
    return classifier.eval()


@torch.no_grad()
def recognised(classifier: SceneClassifier, pictures: Tensor, shown: list[scenes.Scene]) -> Tensor:
    """Which parts of which captions were recognised, (n, 3) of bool."""
    guesses = [
        torch.stack([g.argmax(1) for g in classifier(p)], 1) for p in torch.split(pictures, 64)
    ]
    return torch.cat(guesses) == labels(shown)


def accuracy(hits: Tensor) -> Accuracy:
    """Means of `recognised`."""
    subject, place, palette = hits.float().mean(0).tolist()
    return Accuracy(len(hits), subject, place, palette)
