"""The probe: a small fixed workload that is timed right before every sample of a tier.

What slows a tier *and* its probe is the machine; what slows the tier alone is the code. So the
probe must be hit by what hits the tier: it is of the tier's dtype, and a small UNet made like
SDXL's, of as many small operators, called through modules, each with weights of its own. (Measured:
docs/decisions/0003-probe-like-the-tier.md. A probe of a few large operators in the same dtype
removes less.)

On an accelerator it is of SDXL's own sizes, captured once in a device graph (CUDA graph) and
replayed for 0.3 to 0.5 s before each sample: a device that is launched at from Python for
some milliseconds tells of the host and not of the device, and sees nothing of its power limit.

It is written in plain torch, and not with diffusers, so that it stays the same when the libraries
under test change. Its code and shapes never change with the tiers. Whoever changes them raises the
version of their `_Shape`, and every baseline of that kind of device has to be recorded anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from perfsuite.device import Device

_BLOCKS_PER_LEVEL = 2
_LONGEST_S = 0.4
"""Seconds of all repeats before one sample; long enough for a power limit to act."""
_LARGEST_SHARE = 0.12
"""Of sampling; with what the clock and the first replay cost it stays below 15 %."""


@dataclass(frozen=True)
class _Level:
    channels: int
    side: int
    heads: int
    attends: bool = True


@dataclass(frozen=True)
class _Shape:
    version: int
    down: tuple[_Level, ...]
    text_tokens: int
    text_width: int
    time_width: int
    passes: int

    @property
    def levels(self) -> tuple[_Level, ...]:
        """From the outermost level to the innermost and back."""
        return (*self.down, *reversed(self.down))


# The levels of the pocket checkpoint's UNet, sized so that the probe takes about a fifth of an
# image; and those of SDXL's at 1024x1024.
_CPU_SHAPE = _Shape(
    2, (_Level(64, 16, 2, False), _Level(96, 8, 3), _Level(128, 4, 4)), 77, 128, 256, 3
)
_ACCELERATOR_SHAPE = _Shape(
    3, (_Level(320, 128, 5, False), _Level(640, 64, 10), _Level(1280, 32, 20)), 77, 2048, 1280, 1
)


class Probe:
    """The fixed workload on one device in one dtype; never compiled.

    Args:
        dtype: of weights and activations.
        device: where it runs.

    Attributes:
        name: version, dtype, kind of device, and `graph` where it is replayed from a device graph;
            samples of probes of other names do not compare.
        repeats: how many times `run` does the fixed work; seconds are told per repeat.
    """

    repeats = 1
    _may_repeat = False

    def __init__(self, dtype: torch.dtype, device: Device) -> None:
        shape = _ACCELERATOR_SHAPE if device.is_accelerator else _CPU_SHAPE
        self._may_repeat = device.is_accelerator
        self._passes = shape.passes
        self._levels = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self._time = torch.randn(2, shape.time_width).to(device.name, dtype)
            self._text = torch.randn(2, shape.text_tokens, shape.text_width).to(device.name, dtype)
            for level in shape.levels:
                noise = torch.randn(2, level.channels, level.side, level.side)
                blocks = [_Block(level, shape) for _ in range(_BLOCKS_PER_LEVEL)]
                for block in blocks:
                    block.to(device.name, dtype).requires_grad_(False)
                self._levels.append((noise.to(device.name, dtype), blocks))
        replay = device.record_graph(self._work)
        self._once: Callable[[], object] = replay or self._work
        how = " graph" if replay else ""
        self.name = f"v{shape.version} {str(dtype).removeprefix('torch.')} {device.name}{how}"

    def run(self) -> None:
        """The fixed work, `repeats` times."""
        for _ in range(self.repeats):
            self._once()

    def repeat_for(self, image_s: float, once_s: float) -> None:
        """Choose `repeats` on an accelerator: about 0.4 s, but not more than an eighth of a sample.

        On a CPU one run is all: it is sized for that.

        Args:
            image_s: seconds of one sample.
            once_s: seconds of one repeat.
        """
        if self._may_repeat:
            wanted_s = min(_LONGEST_S, image_s * _LARGEST_SHARE / (1 - _LARGEST_SHARE))
            self.repeats = max(1, round(wanted_s / once_s))

    @torch.no_grad()
    def _work(self) -> None:
        """Passes through every block; each level starts from its own noise."""
        for _ in range(self._passes):
            for noise, blocks in self._levels:
                image = noise
                for block in blocks:
                    image = block(image, self._time, self._text)


class _Block(nn.Module):
    """A residual block, and a transformer block where the level has attention."""

    def __init__(self, level: _Level, shape: _Shape) -> None:
        super().__init__()
        self.residual = _ResidualBlock(level.channels, shape.time_width)
        self.transformer: nn.Module | None = None
        if level.attends:
            self.transformer = _TransformerBlock(level.channels, shape.text_width, level.heads)

    def forward(self, image: torch.Tensor, time: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Batch x channels x side x side, to the same shape."""
        image = self.residual(image, time)
        if self.transformer is not None:
            image = self.transformer(image, text)
        return image


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int, time_width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(32, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.time = nn.Linear(time_width, channels)
        self.norm2 = nn.GroupNorm(32, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.SiLU()

    def forward(self, image: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        hidden = self.conv1(self.activation(self.norm1(image)))
        hidden = hidden + self.time(self.activation(time))[:, :, None, None]
        change: torch.Tensor = self.conv2(self.activation(self.norm2(hidden)))
        return image + change


class _Attention(nn.Module):
    def __init__(self, channels: int, context_width: int, heads: int) -> None:
        super().__init__()
        self._heads, self._head_width = heads, channels // heads
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(context_width, channels, bias=False)
        self.value = nn.Linear(context_width, channels, bias=False)
        self.out = nn.Linear(channels, channels)

    def forward(self, tokens: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            projected.view(len(tokens), -1, self._heads, self._head_width).transpose(1, 2)
            for projected in (self.query(tokens), self.key(context), self.value(context))
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        merged: torch.Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return merged


class _TransformerBlock(nn.Module):
    def __init__(self, channels: int, text_width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, channels)
        self.enter = nn.Linear(channels, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.self_attention = _Attention(channels, channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.cross_attention = _Attention(channels, text_width, heads)
        self.norm3 = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, 8 * channels)
        self.narrow = nn.Linear(4 * channels, channels)
        self.leave = nn.Linear(channels, channels)

    def forward(self, image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        tokens = self.enter(self.norm(image).flatten(2).transpose(1, 2))
        normed = self.norm1(tokens)
        tokens = tokens + self.self_attention(normed, normed)
        tokens = tokens + self.cross_attention(self.norm2(tokens), text)
        wide, gate = self.widen(self.norm3(tokens)).chunk(2, dim=-1)
        tokens = tokens + self.narrow(wide * F.gelu(gate))
        change: torch.Tensor = self.leave(tokens).transpose(1, 2).reshape(image.shape)
        return image + change
