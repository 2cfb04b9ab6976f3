"""Pipeline families: what differs between kinds of diffusion pipelines, behind one protocol."""

from perfsuite.pipelines.family import (
    Pipeline,
    PipelineFamily,
    PipelineOutput,
    StepHook,
    family_of,
    noise_generators,
    register_family,
    uncompiled,
)
from perfsuite.pipelines.sdxl import SdxlFamily

__all__ = [
    "Pipeline",
    "PipelineFamily",
    "PipelineOutput",
    "SdxlFamily",
    "StepHook",
    "family_of",
    "noise_generators",
    "register_family",
    "uncompiled",
]

register_family(SdxlFamily())
