"""Render the pocket's world: one subject in one place, in one palette, as a 64 x 64 picture.

Everything is composed from colour emoji (Noto Color Emoji) and a few painted shapes. Pictures are
drawn at twice their size and reduced, so that edges are soft and positions are not tied to pixels.
All coordinates below are picture pixels, whatever the supersampling.
"""

from __future__ import annotations

import functools
import itertools
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

SIZE = 64
SUPERSAMPLING = 2
FONT_PACKAGE = "fonts-noto-color-emoji"
DEFAULT_FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
STRIKE = 109  # the only size at which the font carries its bitmaps

SUBJECTS = {
    "astronaut": "\U0001f9d1\u200d\U0001f680",
    "cat": "\U0001f431",
    "dog": "\U0001f436",
    "robot": "\U0001f916",
    "fox": "\U0001f98a",
    "panda": "\U0001f43c",
    "lion": "\U0001f981",
    "owl": "\U0001f989",
    "penguin": "\U0001f427",
    "frog": "\U0001f438",
    "unicorn": "\U0001f984",
    "octopus": "\U0001f419",
}
PALETTES = ("cold", "warm", "plain")

TREE, PALM, FERN, PINE = "\U0001f333", "\U0001f334", "\U0001f33f", "\U0001f332"
CACTUS, BOAT, CLOUD = "\U0001f335", "\u26f5", "\u2601"
RINGED_PLANET, MOON = "\U0001fa90", "\U0001f315"


class FontMissing(Exception):
    """The emoji font is not installed; the message names the package that brings it."""


@dataclass(frozen=True)
class Scene:
    """What a picture shows, in the words of its caption."""

    subject: str
    place: str
    palette: str


def font_path() -> Path:
    """Where the emoji font is; `POCKET_EMOJI_FONT` overrides Debian's place for it."""
    path = Path(os.environ.get("POCKET_EMOJI_FONT", DEFAULT_FONT))
    if not path.is_file():
        raise FontMissing(
            f"emoji font not found at {path}: install the Debian package {FONT_PACKAGE} "
            "(apt install fonts-noto-color-emoji) or set POCKET_EMOJI_FONT"
        )
    return path


@functools.cache
def _glyph(emoji: str) -> Image.Image:
    font = ImageFont.truetype(str(font_path()), STRIKE)
    image = Image.new("RGBA", (136, 128), (0, 0, 0, 0))
    ImageDraw.Draw(image).text((0, 0), emoji, font=font, embedded_color=True)
    return image.crop(image.getbbox())


@functools.lru_cache(maxsize=4096)
def _sprite(emoji: str, longest_side: int, mirrored: bool) -> Image.Image:
    glyph = _glyph(emoji)
    scale = longest_side / max(glyph.size)
    width, height = (max(1, round(side * scale)) for side in glyph.size)
    sprite = glyph.resize((width, height), Image.Resampling.LANCZOS)
    return ImageOps.mirror(sprite) if mirrored else sprite


class Canvas:
    """A picture in the making, and the dice that decide its details."""

    def __init__(self, rng: random.Random) -> None:
        side = SIZE * SUPERSAMPLING
        self.rng = rng
        self.image = Image.new("RGBA", (side, side))
        self.draw = ImageDraw.Draw(self.image)

    def put(self, emoji: str, x: float, bottom: float, size: float) -> None:
        """Set an emoji with its foot at (x, bottom), mirrored half of the time."""
        sprite = _sprite(emoji, round(size * SUPERSAMPLING), self.rng.random() < 0.5)
        left = round(x * SUPERSAMPLING - sprite.width / 2)
        top = round(bottom * SUPERSAMPLING - sprite.height)
        self.image.paste(sprite, (left, top), sprite)

    def gradient(self, top: Colour, bottom: Colour, y0: float = 0, y1: float = SIZE) -> None:
        """Fill the band from y0 to y1, shading from one colour to the other, a little varied."""
        first, last = round(y0 * SUPERSAMPLING), round(y1 * SUPERSAMPLING)
        shift = self.rng.uniform(-8, 8)
        ramp = np.linspace(0, 1, max(1, last - first))[:, None, None]
        rows = np.array(top) * (1 - ramp) + np.array(bottom) * ramp + shift
        pixels = np.broadcast_to(rows, (len(ramp), self.image.width, 3))
        band = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")
        self.image.paste(band, (0, first))

    def ellipse(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        """A filled ellipse in the box from (x0, y0) to (x1, y1)."""
        self.draw.ellipse(self._scaled(x0, y0, x1, y1), fill=fill)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        """A filled rectangle from (x0, y0) to (x1, y1)."""
        self.draw.rectangle(self._scaled(x0, y0, x1, y1), fill=fill)

    def polygon(self, *corners: tuple[float, float], fill: Colour) -> None:
        """A filled polygon."""
        self.draw.polygon(self._scaled(*itertools.chain(*corners)), fill=fill)

    def arc(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        """The upper half of an ellipse's outline."""
        self.draw.arc(self._scaled(x0, y0, x1, y1), 180, 360, fill=fill, width=SUPERSAMPLING)

    def reduced(self) -> npt.NDArray[np.float32]:
        """The finished picture, (64, 64, 3) in 0..255."""
        small = self.image.convert("RGB").reduce(SUPERSAMPLING)
        return np.asarray(small, dtype=np.float32)

    def side(self, left: bool) -> float:
        """An x near the left or the right edge, where the subject leaves room."""
        x = self.rng.uniform(4, 14)
        return x if left else SIZE - x

    @staticmethod
    def _scaled(*values: float) -> list[float]:
        return [value * SUPERSAMPLING for value in values]


def _jungle(canvas: Canvas) -> None:
    rng = canvas.rng
    horizon = rng.uniform(37, 43)
    canvas.gradient((236, 246, 196), (196, 228, 150), 0, horizon)
    canvas.gradient((150, 202, 96), (112, 170, 70), horizon, SIZE)
    for _ in range(rng.randint(1, 3)):
        canvas.put(TREE, rng.uniform(2, 62), horizon + rng.uniform(1, 4), rng.uniform(16, 26))
    for left in (True, False):
        canvas.put(PALM, canvas.side(left), horizon + rng.uniform(8, 14), rng.uniform(34, 44))
        canvas.put(FERN, canvas.side(left), rng.uniform(59, 64), rng.uniform(11, 16))


def _desert(canvas: Canvas) -> None:
    rng = canvas.rng
    horizon = rng.uniform(37, 43)
    canvas.gradient((120, 190, 240), (222, 228, 222), 0, horizon)
    canvas.gradient((240, 208, 134), (215, 165, 85), horizon, SIZE)
    x, y, radius = rng.uniform(7, 57), rng.uniform(8, 16), rng.uniform(5, 7.5)
    canvas.ellipse(x - radius, y - radius, x + radius, y + radius, (255, 215, 70))
    dune = rng.uniform(-10, 50)
    canvas.ellipse(dune, horizon - rng.uniform(4, 9), dune + 46, horizon + 24, (226, 182, 100))
    for _ in range(rng.randint(2, 4)):
        x = canvas.side(rng.random() < 0.5)
        canvas.put(CACTUS, x, horizon + rng.uniform(6, 18), rng.uniform(16, 30))


BUILDINGS = ((120, 130, 150), (160, 140, 130), (95, 110, 135), (150, 150, 165), (125, 115, 125))


def _city(canvas: Canvas) -> None:
    rng = canvas.rng
    horizon = rng.uniform(38, 44)
    canvas.gradient((150, 190, 228), (215, 224, 234), 0, horizon)
    canvas.gradient((118, 118, 124), (82, 82, 90), horizon, SIZE)
    x = rng.uniform(-8, 0)
    while x < SIZE:
        width, top = rng.choice((9.5, 13.5)), rng.uniform(5, 22)
        _building(canvas, x, top, width, horizon)
        x += width + 1.5
    for mark in range(3):
        x = rng.uniform(0, 8) + 22 * mark
        canvas.rectangle(x, horizon + 8, x + 8, horizon + 9.5, (230, 230, 230))


def _building(canvas: Canvas, x: float, top: float, width: float, foot: float) -> None:
    canvas.rectangle(x, top, x + width, foot, canvas.rng.choice(BUILDINGS))
    columns = int((width - 1) // 4)
    margin = (width - 4 * columns + 1.5) / 2
    for row in np.arange(top + 2.5, foot - 3, 5):
        for column in range(columns):
            left = x + margin + 4 * column
            canvas.rectangle(left, row, left + 2, row + 2.5, (250, 235, 150))


def _sea(canvas: Canvas) -> None:
    rng = canvas.rng
    horizon = rng.uniform(36, 42)
    canvas.gradient((130, 205, 250), (208, 236, 250), 0, horizon)
    canvas.gradient((40, 130, 210), (12, 66, 150), horizon, SIZE)
    for _ in range(rng.randint(1, 3)):
        canvas.put(CLOUD, rng.uniform(4, 60), rng.uniform(10, 24), rng.uniform(14, 24))
    for y in np.arange(horizon + rng.uniform(3, 7), SIZE, 7):
        for x in np.arange(rng.uniform(-12, 0), SIZE, 12):
            canvas.arc(x, y, x + 9, y + 5, (175, 218, 246))
    for left in rng.choice(((True,), (False,), (True, False))):
        canvas.put(BOAT, canvas.side(left), horizon + rng.uniform(2, 8), rng.uniform(15, 24))


def _space(canvas: Canvas) -> None:
    rng = canvas.rng
    canvas.gradient((16, 14, 44), (52, 26, 88))
    for _ in range(rng.randint(12, 18)):
        x, y, radius = rng.uniform(0, SIZE), rng.uniform(0, SIZE), rng.uniform(0.6, 1)
        canvas.ellipse(x - radius, y - radius, x + radius, y + radius, (255, 255, 235))
    planet_left = rng.random() < 0.5
    canvas.put(RINGED_PLANET, canvas.side(planet_left), rng.uniform(16, 34), rng.uniform(18, 27))
    canvas.put(MOON, canvas.side(not planet_left), rng.uniform(14, 34), rng.uniform(9, 16))


def _snow(canvas: Canvas) -> None:
    rng = canvas.rng
    horizon = rng.uniform(37, 43)
    canvas.gradient((160, 194, 228), (220, 232, 245), 0, horizon)
    canvas.gradient((245, 248, 252), (225, 232, 242), horizon, SIZE)
    for x in (rng.uniform(2, 26), rng.uniform(36, 62)):
        _mountain(canvas, x, rng.uniform(5, 18), horizon)
    for _ in range(rng.randint(2, 4)):
        x = canvas.side(rng.random() < 0.5)
        canvas.put(PINE, x, horizon + rng.uniform(6, 18), rng.uniform(18, 30))


def _mountain(canvas: Canvas, x: float, top: float, foot: float) -> None:
    slope = canvas.rng.uniform(0.6, 0.85)
    half = (foot - top) * slope
    canvas.polygon((x - half, foot), (x, top), (x + half, foot), fill=(122, 142, 176))
    cap = canvas.rng.uniform(7, 11)
    edge = cap * slope
    canvas.polygon((x - edge, top + cap), (x, top), (x + edge, top + cap), fill=(255, 255, 255))


PLACES: dict[str, Callable[[Canvas], None]] = {
    "jungle": _jungle,
    "desert": _desert,
    "city": _city,
    "sea": _sea,
    "space": _space,
    "snow": _snow,
}

# Saturation kept, gain per channel, lift per channel.
TINTS: dict[str, tuple[float, Colour | tuple[float, ...], Colour]] = {
    "cold": (0.6, (0.70, 0.93, 1.10), (0, 6, 22)),
    "warm": (0.75, (1.12, 0.93, 0.62), (18, 6, 0)),
}


def tint(pixels: npt.NDArray[np.float32], palette: str) -> npt.NDArray[np.float32]:
    """Shift (..., 3) pixels in 0..255 towards a palette; `plain` leaves them as they are."""
    if palette == "plain":
        return pixels
    saturation, gain, lift = TINTS[palette]
    grey = pixels.mean(-1, keepdims=True)
    muted = grey + (pixels - grey) * saturation
    toned: npt.NDArray[np.float32] = muted * np.asarray(gain, np.float32)
    return toned + np.asarray(lift, np.float32)


def render(scene: Scene, rng: random.Random) -> Picture:
    """One picture of the scene, (64, 64, 3) uint8; the dice decide what the words leave open."""
    canvas = Canvas(rng)
    PLACES[scene.place](canvas)
    x, bottom = SIZE / 2 + rng.uniform(-5, 5), rng.uniform(58, 62)
    canvas.put(SUBJECTS[scene.subject], x, bottom, rng.uniform(36, 41))
    return np.clip(tint(canvas.reduced(), scene.palette), 0, 255).round().astype(np.uint8)


def every_scene() -> list[Scene]:
    """All 216 scenes of the world, in a fixed order."""
    triples = itertools.product(SUBJECTS, PLACES, PALETTES)
    return [Scene(subject, place, palette) for subject, place, palette in triples]


def dice(seed: int, stream: str, index: int) -> random.Random:
    """Independent dice for one picture: the same seed, stream and index give the same picture."""
    return random.Random(f"{seed}/{stream}/{index}")
