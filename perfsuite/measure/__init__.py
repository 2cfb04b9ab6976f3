"""Measuring: raw samples of a tier with those of its control. Measuring never judges."""

from perfsuite.measure.control import Control
from perfsuite.measure.measurement import LatencySamples, Measurement
from perfsuite.measure.sampling import Goal, Sampler, SamplingPlan, measure_tier

__all__ = [
    "Control",
    "Goal",
    "LatencySamples",
    "Measurement",
    "Sampler",
    "SamplingPlan",
    "measure_tier",
]
