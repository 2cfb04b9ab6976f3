"""A slowdown of known size: real work inside the UNet's forward, neither a sleep nor arithmetic."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F

from perfsuite.device import Device
from perfsuite.selftest.patches import replaced

_ROWS, _WIDTH = 64, 128
_TRIED_UNITS = 60.0
_PAIRS = 11


class ExtraWork:
    """Small transformer feed-forwards, done before each call of a UNet's own forward.

    Work comes in units. A fraction of one is carried over to the next call, so that a whole image
    gets what was asked for.

    Args:
        dtype: of the tier.
        device: where the tier runs.
    """

    def __init__(self, dtype: torch.dtype, device: Device) -> None:
        self._device = device
        generator = torch.Generator("cpu").manual_seed(0)

        def draw(*size: int) -> torch.Tensor:
            return (torch.randn(size, generator=generator) / 16).to(device.name, dtype)

        self._tokens, self._widen = draw(_ROWS, _WIDTH), draw(4 * _WIDTH, _WIDTH)
        self._narrow = draw(_WIDTH, 4 * _WIDTH)
        self.units_per_call = 0.0
        self._owed = 0.0

    def share_of(self, image: Callable[[], object]) -> float:
        """What one unit in each call adds to an image, as a fraction of it; measured in place.

        Alone in a loop the work finds its data in the nearest cache, and would seem cheaper than it
        is between the UNet's layers.

        Args:
            image: makes one, with the pipeline that this work is inside of.
        """
        shares = []
        for _ in range(_PAIRS + 1):
            times_s = []
            for units in (0.0, _TRIED_UNITS):
                self.units_per_call = units
                times_s.append(self._device.timed(image)[0])
            shares.append((times_s[1] / times_s[0] - 1) / _TRIED_UNITS)
        return statistics.median(shares[1:])

    @contextmanager
    def inside(self, pipeline: Any) -> Iterator[None]:
        """Do `units_per_call` units in every forward of the pipeline's UNet."""
        forward = pipeline.unet.forward

        def slower(*arguments: Any, **options: Any) -> Any:
            self._owed += self.units_per_call
            whole = int(self._owed)
            self._owed -= whole
            self._do(whole)
            return forward(*arguments, **options)

        with replaced(pipeline.unet, "forward", slower):
            yield

    @torch.no_grad()
    def _do(self, units: int) -> None:
        tokens = self._tokens
        for _ in range(units):
            tokens = tokens + F.linear(F.gelu(F.linear(tokens, self._widen)), self._narrow)
            tokens = F.layer_norm(tokens, (_WIDTH,))
