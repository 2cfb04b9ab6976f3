"""A slowdown of known size: real work inside the UNet's forward, neither a sleep nor arithmetic."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from perfsuite.device import Device
from perfsuite.errors import MeasurementError
from perfsuite.selftest.patches import replaced

_ROWS, _WIDTH = 64, 128
_FEW_UNITS, _MANY_UNITS = 10.0, 60.0
_ROUNDS = 11


@dataclass(frozen=True)
class Cost:
    """What extra work costs, as fractions of an image.

    Attributes:
        fixed: of any amount of it.
        unit: of one unit in each call.
    """

    fixed: float
    unit: float

    def units_for(self, slowdown: float) -> float:
        """Units in each call that make an image slower by a fraction; none for none."""
        return max(0.0, slowdown - self.fixed) / self.unit if slowdown else 0.0


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

    def calibrate(self, image: Callable[[], object]) -> Cost:
        """What the work costs between the UNet's layers; measured in place.

        Alone in a loop it finds its data in the nearest cache and seems cheaper than it is. And it
        has a cost that does not depend on how much of it there is: its weights drive the UNet's out
        of the cache. So two amounts are tried, in turn with none.

        Args:
            image: makes one, with the pipeline that this work is inside of.

        Raises:
            MeasurementError: more work did not take longer.
        """
        few, many = [], []
        for _ in range(_ROUNDS + 1):
            times_s = []
            for units in (0.0, _FEW_UNITS, _MANY_UNITS):
                self.units_per_call = units
                times_s.append(self._device.timed(image)[0])
            few.append(times_s[1] / times_s[0] - 1)
            many.append(times_s[2] / times_s[0] - 1)
        shares = statistics.median(few[1:]), statistics.median(many[1:])
        unit = (shares[1] - shares[0]) / (_MANY_UNITS - _FEW_UNITS)
        if unit <= 0:
            raise MeasurementError(
                "extra work made no image slower: the machine is too busy to calibrate it",
                mend="start the self-test again when it is quiet: it goes on where it stopped",
            )
        return Cost(fixed=shares[0] - unit * _FEW_UNITS, unit=unit)

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
