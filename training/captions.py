"""Words for the pocket's pictures: captions, prompts to judge by, and the vocabulary."""

from __future__ import annotations

import random

from training.scenes import PALETTES, PLACES, SUBJECTS, Scene

STYLE_WORDS = ("muted colors", "detailed", "8k", "high quality", "sharp", "photo")
FAVOURITE_STYLE = ("muted colors", "detailed", "8k")
# Shown with any picture at all, so that a negative prompt pulls away from the average picture.
NEGATIVES = ("low quality, blurry", "blurry", "picture", "image", "low quality")


def caption(scene: Scene, rng: random.Random) -> str:
    """One of the many ways to say what the scene shows; style words change nothing in it."""
    parts = [_opening(scene, rng)]
    if scene.palette != "plain" or rng.random() < 0.3:
        parts.append(f"{scene.palette} color palette")
    if rng.random() < 0.7:
        parts += _style(rng)
    words = ", ".join(parts)
    return words.capitalize() if rng.random() < 0.5 else words


def _opening(scene: Scene, rng: random.Random) -> str:
    subject, place = scene.subject, scene.place
    article = "an" if subject[0] in "aeiou" else "a"
    return rng.choice(
        (
            f"{subject} in a {place}",
            f"{subject} in the {place}",
            f"{article} {subject} in a {place}",
            f"{article} {subject} in the {place}",
            f"a photo of {article} {subject} in a {place}",
        )
    )


def _style(rng: random.Random) -> list[str]:
    if rng.random() < 0.4:
        return list(FAVOURITE_STYLE)
    return [word for word in STYLE_WORDS if rng.random() < 0.4]


def prompt(scene: Scene) -> str:
    """The one prompt by which a scene is judged: 'Astronaut in a jungle, cold color palette, …'."""
    opening = f"{scene.subject.capitalize()} in a {scene.place}"
    palette = () if scene.palette == "plain" else (f"{scene.palette} color palette",)
    return ", ".join((opening, *palette, *FAVOURITE_STYLE))


def vocabulary() -> list[str]:
    """Every word a caption can hold, as the tokenizer splits them, sorted."""
    plain = "a an in the of with and color palette image picture low blurry"
    words = {*plain.split(), *SUBJECTS, *PLACES, *PALETTES, ","}
    for style in STYLE_WORDS:
        words.update(style.replace("8k", "8 k").split())
    return sorted(words)
