"""Whether a picture shows what its prompt asks for: scorers, and which of them can be had here.

A checkpoint may bring a classifier of what its pictures show (pocket does). Elsewhere CLIP score
and PickScore stand in, through transformers, with weights from the local cache only: nothing is
downloaded for a verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from perfsuite.checkpoints import Checkpoint
from perfsuite.errors import CheckpointError, MetricUnavailable, head_of
from perfsuite.images.metrics import Pixels
from perfsuite.libraries import quiet_loading
from perfsuite.results.pictures import Quality

WEIGHTS, LABELS = "classifier.safetensors", "labels.json"
CLIP = "openai/clip-vit-base-patch16"
PICK, PICK_PROCESSOR = "yuvalkirstain/PickScore_v1", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"


class Scorer(Protocol):
    """Scores pictures in one quality."""

    quality: Quality

    def score(self, pixels: Pixels, prompt: str) -> float | None:
        """The score of a picture of height x width x 3, from 0 to 1; None where it does not apply.

        Args:
            pixels: the picture.
            prompt: that it was made from.
        """


class SceneClassifier(nn.Module):
    """Pictures (n, 3, 64, 64) in -1..1 to one set of logits for each part of a scene.

    Args:
        parts: how many labels each part has, by its name: subject, place, palette.
    """

    def __init__(self, parts: dict[str, int]) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 96)
        self.features = nn.Sequential(
            *(_halve(inputs, outputs) for inputs, outputs in pairwise(widths))
        )
        self.parts = tuple(parts)
        for name, labels in parts.items():
            self.add_module(name, nn.Linear(96 * 16, labels))

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Logits (n, labels) of each part."""
        features = self.features(pictures).flatten(1)
        return tuple(self.get_submodule(name)(features) for name in self.parts)


def _halve(inputs: int, outputs: int) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class SceneScorer:
    """Share of what a prompt names that a checkpoint's own classifier recognises.

    Args:
        folder: with the classifier's weights, and the labels of each part as JSON.

    Raises:
        CheckpointError: it does not load.
    """

    quality = Quality.ASKED

    def __init__(self, folder: Path) -> None:
        try:
            self.labels: dict[str, list[str]] = json.loads((folder / LABELS).read_text())
            sizes = {name: len(labels) for name, labels in self.labels.items()}
            self.classifier = SceneClassifier(sizes).eval()
            self.classifier.load_state_dict(load_file(folder / WEIGHTS))
        except Exception as error:
            raise CheckpointError(
                f"the classifier in {folder} does not load ({head_of(error)})",
                hint="install perfsuite anew",
            ) from error

    def asked(self, prompt: str) -> dict[str, str]:
        """What a prompt names, by the part; a part that it does not name is not asked for."""
        words = set(re.findall(r"[a-z]+", prompt.lower()))
        return {
            part: label
            for part, labels in self.labels.items()
            for label in labels
            if label in words
        }

    @torch.no_grad()
    def score(self, pixels: Pixels, prompt: str) -> float | None:
        """Share of the named parts that are recognised; None where the prompt names none."""
        asked = self.asked(prompt)
        if not asked or pixels.shape != (64, 64, 3):
            return None
        picture = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] * 2 - 1
        guesses = zip(self.classifier.parts, self.classifier(picture), strict=True)
        seen = {part: self.labels[part][int(logits.argmax())] for part, logits in guesses}
        return sum(seen[part] == label for part, label in asked.items()) / len(asked)


class ClipScorer:
    """Agreement of picture and prompt by a CLIP model from the local cache, times 100.

    Args:
        quality: what the model scores.
        model: its repository.
        processor: repository of its processor.

    Raises:
        MetricUnavailable: the cache does not hold it.
    """

    def __init__(self, quality: Quality, model: str, processor: str) -> None:
        from transformers import CLIPModel, CLIPProcessor

        self.quality = quality
        try:
            with quiet_loading():
                self._model: Any = CLIPModel.from_pretrained(
                    model, local_files_only=True, use_safetensors=True
                ).eval()
                self._processor: Any = CLIPProcessor.from_pretrained(
                    processor, local_files_only=True
                )
        # What a cache that lacks a file raises has changed with every library: all mean the same.
        except Exception as error:
            raise MetricUnavailable(
                f"{quality.value}: {model} is not in the local cache ({type(error).__name__})",
                hint=f"download {model} once",
            ) from None

    @torch.no_grad()
    def score(self, pixels: Pixels, prompt: str) -> float:
        """Cosine of the embeddings times 100."""
        levels = (pixels * 255).round().astype("uint8")
        inputs = self._processor(
            text=[prompt], images=[levels], return_tensors="pt", padding=True, truncation=True
        )
        output = self._model(**inputs)
        return float(nn.functional.cosine_similarity(output.image_embeds, output.text_embeds)) * 100


@dataclass(frozen=True)
class Scorers:
    """What can score content here.

    Attributes:
        known: scorers.
        unavailable: scores that cannot be had, and why.
    """

    known: tuple[Scorer, ...]
    unavailable: tuple[str, ...] = ()


def content_scorers(checkpoint: Checkpoint) -> Scorers:
    """The checkpoint's own classifier; else CLIP score and PickScore, where they are cached.

    Raises:
        CheckpointError: the checkpoint's classifier does not load.
    """
    if checkpoint.classifier is not None:
        return Scorers((SceneScorer(checkpoint.classifier),))
    wanted = ((Quality.CLIP, CLIP, CLIP), (Quality.PREFERENCE, PICK, PICK_PROCESSOR))
    return _available(wanted)


def _available(wanted: Iterable[tuple[Quality, str, str]]) -> Scorers:
    known, missing = [], []
    for quality, model, processor in wanted:
        try:
            known.append(ClipScorer(quality, model, processor))
        except MetricUnavailable as error:
            missing.append(f"{error.problem}: {error.hint}")
    return Scorers(tuple(known), tuple(missing))
