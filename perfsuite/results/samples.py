"""What measuring returns: raw samples, in seconds, in the order in which they were taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from perfsuite.results.condition_reasons import SamplesDropped
from perfsuite.results.machine import Conditions
from perfsuite.results.method import Finding
from perfsuite.results.roofline import MachineLimits
from perfsuite.results.stages import TierStages


@dataclass(frozen=True)
class PeakMemory:
    """The most memory in use at once, or why it is not known (absent is not zero).

    Attributes:
        peak_bytes: bytes, without `held_bytes`; None where they could not be measured.
        source: what was read.
        reason: why `peak_bytes` is None.
        held_bytes: what the process held beside: libraries, other tiers' caches, the probe; None in
            records that are older than it, whose peaks hold it.
    """

    peak_bytes: int | None
    source: str
    reason: str | None = None
    held_bytes: int | None = None


@dataclass(frozen=True)
class GraphWork:
    """What torch.compile did while an image was made.

    Attributes:
        compiled: graphs of operators that it compiled.
        recorded: device graphs (CUDA graphs) that it recorded.
        held: device graphs that it held afterwards, to be replayed.
    """

    compiled: int = 0
    recorded: int = 0
    held: int = 0

    @property
    def is_new(self) -> bool:
        """Whether the image holds work that later images do not repeat."""
        return self.compiled > 0 or self.recorded > 0

    @property
    def what(self) -> str:
        """'compiled', 'recorded' or 'replayed' graphs; 'ran' where there are none to replay."""
        if self.compiled:
            return "compiled"
        if self.recorded:
            return "recorded"
        return "replayed" if self.held else "ran"


@dataclass(frozen=True)
class LatencySamples:
    """Samples of one tier in one process, each with the probe's sample taken right before it.

    Attributes:
        samples_s: seconds per call of the tier's pipeline: one image, or the workload's batch.
        probe_s: seconds of the probe, one for each sample; the mean, where it ran several times.
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
        warmup_graphs: of each image of `warmup_s`, what it compiled, recorded or replayed; empty in
            records that are older than it.
        probe_repeats: how many times the probe ran before each sample.
        recordings: device graphs that were recorded *during* sampling.
        host_share: of the time of a denoising step on an accelerator, the part that the CPU needs
            to launch its work; near 1 the device waits for it. None on a CPU.
        findings: what compiling brought to light.
        stages: where the time of an image goes; None in records that are older than it.
        limits: what the machine could do at most; None in records that are older than it.
        first_image_cpu_s: CPU seconds of the first image, those of the compiler's processes
            included; None in records that are older than it.
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
    warmup_graphs: tuple[GraphWork, ...] = ()
    probe_repeats: int = 1
    recordings: int = 0
    host_share: float | None = None
    findings: tuple[Finding, ...] = ()
    stages: TierStages | None = None
    limits: MachineLimits | None = None
    first_image_cpu_s: float | None = None

    @property
    def unspoilt(self) -> LatencySamples:
        """Samples that may be judged: without those while which the device was throttled.

        All of them where none would be left; what is said of such a tier is that it is invalid.
        """
        keep, latency = self.conditions.unspoilt, self.latency
        kept = keep(latency.samples_s)
        if not kept:
            return latency
        return LatencySamples(kept, keep(latency.probe_s), latency.probe)

    @property
    def dropped(self) -> tuple[SamplesDropped, ...]:
        """What is to be said of samples that are left out; nothing if none is."""
        spoilt = self.conditions.throttled_samples
        if not spoilt:
            return ()
        taken = len(self.latency.samples_s)
        return (SamplesDropped(len(spoilt), taken, self.conditions.throttled),)

    @property
    def probe_share(self) -> float:
        """Share of the sampling's seconds that the probe took."""
        return sum(self.latency.probe_s) * self.probe_repeats / self.sampling_s


Goal = Callable[[LatencySamples], int]
"""From the samples so far: how many are wanted in all. No more than there are ends sampling."""
