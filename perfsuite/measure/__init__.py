"""Measuring: raw samples of a tier with those of its probe. Measuring never judges."""

from perfsuite.measure.probe import Probe
from perfsuite.measure.sampling import Sampler, SamplingPlan, default_budget_s, measure_tier
from perfsuite.results.samples import LatencySamples, Measurement

__all__ = [
    "LatencySamples",
    "Measurement",
    "Probe",
    "Sampler",
    "SamplingPlan",
    "default_budget_s",
    "measure_tier",
]
