"""The control: a small fixed workload that is timed right before every sample of a tier.

What slows a tier *and* its control is the machine; what slows the tier alone is the code. The
control is of the tier's dtype and of its kinds of work, since only a control of like kind removes
noise (measured: spread between runs 2.9 % raw, 2.7 % with a float32 control, 1.4 % with a like-
kind one).

Its code and shapes never change with the tiers. Whoever changes them raises `VERSION`, and every
baseline has to be recorded anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from perfsuite.device import Device

VERSION = 1


@dataclass(frozen=True)
class _Shape:
    channels: int
    side: int
    repeats: int


# Sized so that one pass takes about a sixth of a pocket image on a CPU core, and some
# milliseconds on a data-centre GPU.
_CPU_SHAPE = _Shape(channels=128, side=16, repeats=8)
_ACCELERATOR_SHAPE = _Shape(channels=640, side=64, repeats=4)


class Control:
    """The fixed workload on one device in one dtype; eager, never compiled.

    Attributes:
        name: version, dtype and kind of device; samples of controls of other names do not compare.
    """

    def __init__(self, dtype: torch.dtype, device: Device) -> None:
        shape = _ACCELERATOR_SHAPE if device.is_accelerator else _CPU_SHAPE
        self.name = f"v{VERSION} {str(dtype).removeprefix('torch.')} {device.name}"
        self._repeats = shape.repeats
        generator = torch.Generator("cpu").manual_seed(0)

        def draw(*size: int, fan_in: int = 1) -> torch.Tensor:
            values = torch.randn(size, generator=generator) / math.sqrt(fan_in)
            return values.to(device.name, dtype)

        width = shape.channels
        self._image = draw(2, width, shape.side, shape.side)
        self._kernel = draw(width, width, 3, 3, fan_in=9 * width)
        self._qkv = draw(3 * width, width, fan_in=width)
        self._widen = draw(4 * width, width, fan_in=width)
        self._narrow = draw(width, 4 * width, fan_in=4 * width)

    @torch.no_grad()
    def run(self) -> None:
        """One pass: convolution block, then a transformer block, as in SDXL's UNet."""
        image = self._image
        for _ in range(self._repeats):
            image = self._transformer_block(self._convolution_block(image))

    def _convolution_block(self, image: torch.Tensor) -> torch.Tensor:
        hidden = F.silu(F.group_norm(image, 32))
        return image + F.conv2d(hidden, self._kernel, padding=1)

    def _transformer_block(self, image: torch.Tensor) -> torch.Tensor:
        batch, width, height, breadth = image.shape
        tokens = image.flatten(2).transpose(1, 2)
        qkv = F.linear(F.layer_norm(tokens, (width,)), self._qkv)
        heads = qkv.view(batch, -1, 3, width // 32, 32).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(heads[0], heads[1], heads[2])
        tokens = tokens + attended.transpose(1, 2).flatten(2)
        inner = F.gelu(F.linear(F.layer_norm(tokens, (width,)), self._widen))
        tokens = tokens + F.linear(inner, self._narrow)
        return tokens.transpose(1, 2).reshape(batch, width, height, breadth)
