"""A pipeline that is no SDXL, and all that a user writes to have it measured."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from perfsuite import PipelineFamily, Workload
from perfsuite.pipelines import PipelineOutput, StepHook, noise_generators
from perfsuite.workload import Shot


class StableDiffusionXLPipeline(SimpleNamespace):
    """Parts with the class name of SDXL's pipeline, for tests that need no more of it."""


class Decoder(nn.Conv2d):
    """Latents of four channels to pixels."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self(latents))


class ToyPipeline:
    """Denoises by a convolution; its hook is the old `callback` of diffusers."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        torch.manual_seed(0)
        self.transformer = nn.Sequential(nn.Conv2d(4, 8, 1), nn.GELU(), nn.Conv2d(8, 4, 1))
        self.vae = Decoder(4, 3, 1)
        self.text_encoder = nn.Linear(4, 4)
        for module in (self.transformer, self.vae, self.text_encoder):
            module.to(dtype).requires_grad_(False)

    def __call__(
        self,
        generator: list[torch.Generator],
        side: int,
        steps: int,
        callback: Callable[[int, int, torch.Tensor], None] | None = None,
    ) -> torch.Tensor:
        weights = next(self.transformer.parameters())
        noise = torch.stack([torch.randn(4, side, side, generator=each) for each in generator])
        latents = noise.to(weights.dtype)
        for step in range(steps):
            latents = latents - 0.1 * self.transformer(latents)
            if callback is not None:
                callback(step, 0, latents)
        return self.vae.decode(latents)


class ToyFamily(PipelineFamily):
    """All that perfsuite needs to know of a ToyPipeline."""

    name = "toy"
    pipelines = ("ToyPipeline",)
    denoiser_name = "transformer"
    decoder_name = "vae"
    text_encoder_names = ("text_encoder",)

    def call(
        self,
        pipeline: ToyPipeline,
        workload: Workload,
        shot: Shot,
        *,
        output_type: str = "pil",
        on_step: StepHook | None = None,
        keeps_latents: bool = False,
    ) -> PipelineOutput:
        kept: list[torch.Tensor] = []

        def callback(step: int, timestep: int, latents: torch.Tensor) -> None:
            kept[:] = [latents]
            if on_step is not None:
                on_step(step)

        generators = noise_generators(workload, shot)
        pixels = pipeline(generators, workload.height, workload.steps, callback)
        images: Any = pixels.float().permute(0, 2, 3, 1).numpy()
        return PipelineOutput(images, kept[0] if keeps_latents else None)
