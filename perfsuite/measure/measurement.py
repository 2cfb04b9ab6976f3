"""What measuring returns: raw samples, in seconds, in the order in which they were taken."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from perfsuite.device import PeakMemory
from perfsuite.measure.conditions import Conditions


@dataclass(frozen=True)
class LatencySamples:
    """Samples of one tier in one process, each with the control's sample taken right before it.

    Attributes:
        samples_s: seconds per image of the tier.
        control_s: seconds of the control, one for each sample.
        control: name of the control.

    Raises:
        ValueError: no samples, not as many control samples, or one that is not a positive number.
    """

    samples_s: tuple[float, ...]
    control_s: tuple[float, ...]
    control: str

    def __post_init__(self) -> None:
        if not self.samples_s:
            raise ValueError("no samples")
        if len(self.samples_s) != len(self.control_s):
            raise ValueError(
                f"{len(self.samples_s)} samples with {len(self.control_s)} control samples"
            )
        for value in (*self.samples_s, *self.control_s):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"a sample of {value} s is not a latency")


@dataclass(frozen=True)
class Measurement:
    """All that was measured of one tier.

    Attributes:
        tier: the tier's name.
        workload: digest of the latency workload.
        latency: raw samples.
        warmup_s: seconds of each image made before sampling; the first holds the compilation.
        build_s: seconds for loading and changing the pipeline.
        memory: peak while sampling.
        recompiles: graphs that were compiled *during* sampling; anything but 0 spoils samples.
        sampling_s: seconds that sampling took, controls included.
        conditions: what else went on meanwhile.
    """

    tier: str
    workload: str
    latency: LatencySamples
    warmup_s: tuple[float, ...]
    build_s: float
    memory: PeakMemory
    recompiles: int
    sampling_s: float
    conditions: Conditions = field(default_factory=Conditions)
