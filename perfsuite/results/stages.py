"""Where the time of an image goes: seconds by stage, from passes of their own."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

TEXT_ENCODERS = "text encoders"
FIRST_STEP = "first step"
STEADY_STEPS = "other steps"
SCHEDULER = "scheduler"
DECODING = "VAE decode"
REST = "rest"
STAGES = (TEXT_ENCODERS, FIRST_STEP, STEADY_STEPS, SCHEDULER, DECODING, REST)
"""Names of the parts whose seconds add up to an image's, in order."""


@dataclass(frozen=True)
class StageTimes:
    """One image.

    Attributes:
        total_s: from the call of the pipeline to its image.
        text_encoders_s: in the text encoders.
        steps_s: in the denoiser, by step.
        scheduler_s: in the scheduler's own code.
        decode_s: in the decoder.
    """

    total_s: float
    text_encoders_s: float
    steps_s: tuple[float, ...]
    scheduler_s: float
    decode_s: float

    @property
    def rest_s(self) -> float:
        """Seconds of the pipeline's own code: noise, guidance, image processing."""
        return self.total_s - (
            self.text_encoders_s + sum(self.steps_s) + self.scheduler_s + self.decode_s
        )

    @property
    def parts_s(self) -> dict[str, float]:
        """Seconds of each of `STAGES`; they add up to the total."""
        return {
            TEXT_ENCODERS: self.text_encoders_s,
            FIRST_STEP: sum(self.steps_s[:1]),
            STEADY_STEPS: sum(self.steps_s[1:]),
            SCHEDULER: self.scheduler_s,
            DECODING: self.decode_s,
            REST: self.rest_s,
        }


@dataclass(frozen=True)
class TierStages:
    """All passes of a tier.

    Attributes:
        passes: in the order in which they were made, at least one.
    """

    passes: tuple[StageTimes, ...]

    def typical_s(self, stage: str) -> float:
        """Median seconds of a stage."""
        return statistics.median(each.parts_s[stage] for each in self.passes)

    @property
    def total_s(self) -> float:
        """Median seconds of an image in these passes."""
        return self._median(lambda each: each.total_s)

    @property
    def step_s(self) -> float:
        """Median seconds of a step after the first; of the first, if there is only one."""
        return self._median(lambda each: statistics.median(each.steps_s[1:] or each.steps_s))

    def _median(self, of: Callable[[StageTimes], float]) -> float:
        return statistics.median(of(each) for each in self.passes)


@dataclass(frozen=True)
class StageGrowth:
    """One stage against the baseline.

    Attributes:
        stage: its name.
        change: as a fraction, on the verdict's basis.
        added_share: of the seconds that the whole image has grown by.
    """

    stage: str
    change: float
    added_share: float
