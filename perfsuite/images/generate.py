"""Making images with a built pipeline."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from perfsuite.workload import Shot, Workload

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline


@dataclass(frozen=True)
class GeneratedImage:
    """One image with the latents that it was decoded from.

    Attributes:
        shot: which prompt and seed it was made from.
        pixels: height x width x 3, float32 from 0 to 1.
        latents: channels x height/8 x width/8 (for SDXL), float32, before the VAE's scaling.
        finite: whether pixels and latents of *every* image of the batch are finite numbers.
    """

    shot: Shot
    pixels: npt.NDArray[np.float32]
    latents: npt.NDArray[np.float32]
    finite: bool = True


@contextlib.contextmanager
def deterministically() -> Iterator[None]:
    """Deterministic algorithms where torch has them, and cuBLAS's fixed workspace."""
    before = torch.are_deterministic_algorithms_enabled()
    warns_only = torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns_only)


def generate(pipeline: StableDiffusionXLPipeline, workload: Workload, shot: Shot) -> GeneratedImage:
    """Make one image of a workload and keep its final latents."""
    kept: dict[str, torch.Tensor] = {}

    def keep_latents(_: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        kept["latents"] = tensors["latents"]
        return tensors

    output = run(pipeline, workload, shot, output_type="np", callback_on_step_end=keep_latents)
    return GeneratedImage(
        shot,
        pixels=np.asarray(output[0], dtype=np.float32),
        latents=kept["latents"][0].float().cpu().numpy(),
        finite=bool(np.isfinite(output).all() and kept["latents"].isfinite().all()),
    )


def run(pipeline: StableDiffusionXLPipeline, workload: Workload, shot: Shot, **options: Any) -> Any:
    """Call the pipeline once for a shot, as a user would; the images that it returns.

    The noise comes from a CPU generator, so that every device starts from the same numbers.
    """
    torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
    generators = [
        torch.Generator("cpu").manual_seed(shot.seed + copy) for copy in range(workload.batch_size)
    ]
    return pipeline(
        prompt=[shot.prompt] * workload.batch_size,
        num_inference_steps=workload.steps,
        guidance_scale=workload.guidance_scale,
        height=workload.height,
        width=workload.width,
        generator=generators,
        **options,
    ).images
