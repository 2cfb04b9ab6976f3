"""What a machine could do at most, and the share of it that a tier achieves."""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.results.counters import TierCounters
from perfsuite.results.stages import DECODING, FIRST_STEP, STEADY_STEPS, TierStages


@dataclass(frozen=True)
class MachineLimits:
    """Speeds of the device, measured in the same session.

    Attributes:
        dtype: that the product was computed in.
        flops_per_s: floating-point operations of a large matrix product.
        bytes_per_s: bytes read and written by a large copy.
    """

    dtype: str
    flops_per_s: float
    bytes_per_s: float

    def shortest_s(self, flops: float, read_bytes: float) -> float:
        """Seconds that work takes at least: its arithmetic, or its weights' way from memory."""
        return max(flops / self.flops_per_s, read_bytes / self.bytes_per_s)


@dataclass(frozen=True)
class LimitShare:
    """How near a tier comes to the machine's limit; 1 is the limit.

    A tier that computes in a faster dtype than the limit was measured in can come above 1.

    Attributes:
        step: of a denoising step.
        decode: of decoding.
        image: of both together in a whole image; what the rest takes counts against it.
    """

    step: float
    decode: float
    image: float


def limit_share(
    counters: TierCounters, stages: TierStages, limits: MachineLimits, denoiser: str, decoder: str
) -> LimitShare | None:
    """The share of the machine's limit that a tier achieves; None without any FLOPs.

    A step reads the denoiser's weights once; decoding reads those of the decoder.

    Args:
        counters: FLOPs and weights.
        stages: seconds.
        limits: of the machine.
        denoiser: component that a step runs.
        decoder: component that decoding runs.
    """
    step_flops = counters.step.of(denoiser).total_flops
    decode_flops = counters.image.of(decoder).total_flops
    steps = len(stages.passes[0].steps_s)
    decode_s = stages.typical_s(DECODING)
    steps_s = stages.typical_s(FIRST_STEP) + stages.typical_s(STEADY_STEPS)
    if not step_flops or not decode_flops or not steps_s or not decode_s:
        return None
    step_least_s = limits.shortest_s(step_flops, counters.weights_of(denoiser))
    decode_least_s = limits.shortest_s(decode_flops, counters.weights_of(decoder))
    least_s = steps * step_least_s + decode_least_s
    return LimitShare(
        step_least_s / stages.step_s, decode_least_s / decode_s, least_s / stages.total_s
    )
