"""Making images with a built pipeline."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from perfsuite.errors import MeasurementError
from perfsuite.pipelines import Pipeline, PipelineOutput, StepHook, family_of
from perfsuite.workload import Shot, Workload


@dataclass(frozen=True)
class GeneratedImage:
    """One image with the latents that it was decoded from.

    Attributes:
        shot: which prompt and seed it was made from.
        pixels: height x width x 3, float32 from 0 to 1.
        latents: channels x height/8 x width/8 (for SDXL), float32, before the decoder's scaling.
        finite: whether pixels and latents of *every* image of the batch are finite numbers.
    """

    shot: Shot
    pixels: npt.NDArray[np.float32]
    latents: npt.NDArray[np.float32]
    finite: bool = True


@contextlib.contextmanager
def deterministically() -> Iterator[None]:
    """Deterministic algorithms where torch has them.

    cuBLAS repeats itself on a single stream, which is all that a pipeline uses. Its fixed workspace
    ($CUBLAS_WORKSPACE_CONFIG) is read once, before the first product: set later it does nothing, or
    stays for the whole process.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warns_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns_only)


def generate(pipeline: Pipeline, workload: Workload, shot: Shot) -> GeneratedImage:
    """Make one image of a workload and keep its final latents.

    Raises:
        MeasurementError: the pipeline's family gives no latents.
    """
    output = _call(pipeline, workload, shot, output_type="np", keeps_latents=True)
    if output.latents is None:
        raise MeasurementError(
            f"pipeline family '{family_of(pipeline).name}' gave no final latents",
            hint="return them from its call() where keeps_latents is true",
        )
    return GeneratedImage(
        shot,
        pixels=np.asarray(output.images[0], dtype=np.float32),
        latents=output.latents[0].float().cpu().numpy(),
        finite=bool(np.isfinite(output.images).all() and output.latents.isfinite().all()),
    )


def run(
    pipeline: Pipeline, workload: Workload, shot: Shot, *, on_step: StepHook | None = None
) -> object:
    """Call the pipeline once for a shot, as a user would; the images that it returns.

    Args:
        pipeline: of a registered family.
        workload: steps, guidance, size and batch.
        shot: prompt and seed.
        on_step: called after every denoising step; without it the pipeline is given no hook.
    """
    return _call(pipeline, workload, shot, output_type="pil", on_step=on_step).images


def _call(
    pipeline: Pipeline,
    workload: Workload,
    shot: Shot,
    *,
    output_type: str,
    on_step: StepHook | None = None,
    keeps_latents: bool = False,
) -> PipelineOutput:
    # No torch.compiler.cudagraph_mark_step_begin() here: from its first call on, nothing but that
    # call begins a new generation of device graphs, and the thirty denoising steps of one image
    # would be recorded as thirty graphs, one inside another. Left alone, every step begins one.
    return family_of(pipeline).call(
        pipeline,
        workload,
        shot,
        output_type=output_type,
        on_step=on_step,
        keeps_latents=keeps_latents,
    )
