"""Pipeline families: what differs between kinds of diffusion pipelines, behind one protocol."""

from perfsuite.pipelines.family import (
    Feature,
    Pipeline,
    PipelineFamily,
    PipelineOutput,
    StepHook,
    families,
    family_of,
    features_of,
    find_family,
    noise_generators,
    register_family,
    uncompiled,
)
from perfsuite.pipelines.sdxl import SdxlFamily

__all__ = [
    "Feature",
    "Pipeline",
    "PipelineFamily",
    "PipelineOutput",
    "SdxlFamily",
    "StepHook",
    "families",
    "family_of",
    "features_of",
    "find_family",
    "noise_generators",
    "register_family",
    "uncompiled",
]

register_family(SdxlFamily())
