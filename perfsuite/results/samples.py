"""What measuring returns: raw samples, in seconds, in the order in which they were taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from perfsuite.results.machine import Conditions


@dataclass(frozen=True)
class PeakMemory:
    """The most memory in use at once, or why it is not known (absent is not zero).

    Attributes:
        peak_bytes: bytes; None where they could not be measured.
        source: what was read ('resident set' of the process, 'device allocator').
        reason: why `peak_bytes` is None.
    """

    peak_bytes: int | None
    source: str
    reason: str | None = None


@dataclass(frozen=True)
class LatencySamples:
    """Samples of one tier in one process, each with the probe's sample taken right before it.

    Attributes:
        samples_s: seconds per call of the tier's pipeline: one image, or the workload's batch.
        probe_s: seconds of the probe, one for each sample.
        probe: name of the probe.

    Raises:
        ValueError: no samples, not as many probe samples, or one that is not a positive number.
    """

    samples_s: tuple[float, ...]
    probe_s: tuple[float, ...]
    probe: str

    def __post_init__(self) -> None:
        if not self.samples_s:
            raise ValueError("no samples")
        if len(self.samples_s) != len(self.probe_s):
            raise ValueError(
                f"{len(self.samples_s)} samples with {len(self.probe_s)} probe samples"
            )
        for value in (*self.samples_s, *self.probe_s):
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
        sampling_s: seconds that sampling took, probes included.
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


Goal = Callable[[LatencySamples], int]
"""From the samples so far: how many are wanted in all. No more than there are ends sampling."""
