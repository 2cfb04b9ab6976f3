"""A slowdown of known size: real work inside the denoiser's forward, no sleep, no arithmetic."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F

from perfsuite.device import Device
from perfsuite.errors import MeasurementError
from perfsuite.pipelines import Pipeline, family_of
from perfsuite.selftest.patches import replaced

_ROWS, _WIDTH = 64, 64
_STANDING_UNITS = 1.0
_CALIBRATION_UNITS = 200.0
"""In each call: about half an image, so that noise of a few per cent is a small part of it."""
_ROUNDS = 11


class ExtraWork:
    """Small transformer feed-forwards, done before each call of a denoiser's own forward.

    Work comes in units. A fraction of one is carried over to the next call, so that a whole image
    gets what was asked for. One unit stands in every call, in what counts as unchanged too: the
    first one finds its code and weights in no cache and costs about as much as two or three of the
    next, so without it every amount would cost more than its name.

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

    def calibrate(self, image: Callable[[], object], rounds: int = _ROUNDS) -> float:
        """What one unit in each call costs, as a fraction of an image; measured in place.

        Alone in a loop the work finds its data in the nearest cache and seems cheaper than it is
        between the denoiser's layers.

        Args:
            image: makes one, with the pipeline that this work is inside of.
            rounds: images with work and without it; one more of each, which does not count, is
                made before.

        Raises:
            MeasurementError: work did not take longer.
        """
        ratios = []
        for _ in range(rounds + 1):
            times_s = []
            for units in (0.0, _CALIBRATION_UNITS):
                self.units_per_call = units
                times_s.append(self._device.timed(image)[0])
            ratios.append(times_s[1] / times_s[0])
        cost = (statistics.median(ratios[1:]) - 1) / _CALIBRATION_UNITS
        if cost <= 0:
            raise MeasurementError(
                "extra work made no image slower: the machine is too busy to calibrate it",
                hint="start the self-test again when it is quiet: it goes on where it stopped",
            )
        return cost

    @contextmanager
    def inside(self, pipeline: Pipeline) -> Iterator[None]:
        """Do `units_per_call` units, and the standing one, in every forward of the denoiser."""
        denoiser = family_of(pipeline).denoiser_as_called(pipeline)
        forward = denoiser.forward

        def slower(*arguments: Any, **options: Any) -> Any:
            self._owed += _STANDING_UNITS + self.units_per_call
            whole = int(self._owed)
            self._owed -= whole
            self._do(whole)
            return forward(*arguments, **options)

        with replaced(denoiser, "forward", slower):
            yield

    @torch.no_grad()
    def _do(self, units: int) -> None:
        tokens = self._tokens
        for _ in range(units):
            tokens = tokens + F.linear(F.gelu(F.linear(tokens, self._widen)), self._narrow)
            tokens = F.layer_norm(tokens, (_WIDTH,))
