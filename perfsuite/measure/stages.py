"""Timing the stages of an image, in passes of their own: hooks would cost time in a sample.

On an accelerator the marks are events on the device's own stream, read when the image is done, so
that nothing is waited for in between.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch

from perfsuite.device import Device
from perfsuite.images.generate import run
from perfsuite.ladder import BuiltTier
from perfsuite.pipelines.stages import Stage, listening
from perfsuite.results.stages import StageTimes, TierStages

PASSES = 3


class StageClock:
    """Marks points in a device's time.

    Args:
        device: whose time it is.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._spans: list[tuple[Stage, int, Any, Any]] = []
        self._step = 0
        self._start: Any = None

    def begin(self) -> None:
        """An image begins."""
        self._device.synchronize()
        self._start = self._mark()

    def end_step(self, _: int) -> None:
        """A denoising step is done."""
        self._step += 1

    @contextlib.contextmanager
    def around(self, stage: Stage) -> Iterator[None]:
        """Note when a call of a stage begins and ends."""
        start = self._mark()
        yield
        self._spans.append((stage, self._step, start, self._mark()))

    def finish(self) -> StageTimes:
        """The image is done."""
        end = self._mark()
        self._device.synchronize()
        spent: dict[Stage, float] = dict.fromkeys(Stage, 0.0)
        steps: dict[int, float] = {}
        for stage, step, start, stop in self._spans:
            seconds = self._between(start, stop)
            spent[stage] += seconds
            if stage is Stage.DENOISING:
                steps[step] = steps.get(step, 0.0) + seconds
        return StageTimes(
            total_s=self._between(self._start, end),
            text_encoders_s=spent[Stage.TEXT_ENCODERS],
            steps_s=tuple(steps[step] for step in sorted(steps)),
            scheduler_s=spent[Stage.SCHEDULER],
            decode_s=spent[Stage.DECODING],
        )

    def _mark(self) -> Any:
        if not self._device.is_accelerator:
            return time.perf_counter()
        event = torch.Event(self._device.name, enable_timing=True)
        event.record()
        return event

    def _between(self, start: Any, end: Any) -> float:
        if not self._device.is_accelerator:
            return float(end - start)
        return float(start.elapsed_time(end)) / 1000.0


def time_stages(built: BuiltTier, passes: int = PASSES) -> TierStages:
    """Make images of the latency workload and take the time of each stage.

    The tier has to be warm: nothing is made here that is not counted.
    """
    workload = built.latency
    shot = next(workload.shots())
    taken = []
    for _ in range(passes):
        clock = StageClock(built.device)
        with listening(built.family.stage_calls(built.pipeline), clock.around):
            clock.begin()
            run(built.pipeline, workload, shot, on_step=clock.end_step)
            taken.append(clock.finish())
    return TierStages(tuple(taken))
