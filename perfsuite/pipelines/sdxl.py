"""Stable Diffusion XL, as diffusers' StableDiffusionXLPipeline runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.pipelines.family import (
    Pipeline,
    PipelineFamily,
    PipelineOutput,
    StepHook,
    noise_generators,
)
from perfsuite.workload import Shot, Workload

if TYPE_CHECKING:
    import torch


class SdxlFamily(PipelineFamily):
    """UNet, VAE and two text encoders; diffusers' callback_on_step_end is the hook."""

    name = "SDXL"
    pipelines = ("StableDiffusionXLPipeline",)
    denoiser_name = "unet"
    decoder_name = "vae"
    text_encoder_names = ("text_encoder", "text_encoder_2")

    def call(
        self,
        pipeline: Pipeline,
        workload: Workload,
        shot: Shot,
        *,
        output_type: str = "pil",
        on_step: StepHook | None = None,
        keeps_latents: bool = False,
    ) -> PipelineOutput:
        """Call the pipeline once; the final latents are those of the last step's callback."""
        latents: list[torch.Tensor] = []

        def at_step_end(_: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> Any:
            if keeps_latents:
                latents[:] = [tensors["latents"]]
            if on_step is not None:
                on_step(step)
            return tensors

        hooked = keeps_latents or on_step is not None
        images = pipeline(
            prompt=[shot.prompt] * workload.batch_size,
            num_inference_steps=workload.steps,
            guidance_scale=workload.guidance_scale,
            height=workload.height,
            width=workload.width,
            generator=noise_generators(workload, shot),
            output_type=output_type,
            **({"callback_on_step_end": at_step_end} if hooked else {}),
        ).images
        return PipelineOutput(images, latents[0] if latents else None)

    def set_attention(self, pipeline: Pipeline, *, fused: bool) -> None:
        """AttnProcessor2_0 of diffusers, or its default without SDPA."""
        from diffusers.models.attention_processor import AttnProcessor2_0

        for module in self.modules(pipeline).values():
            if fused:
                module.set_attn_processor(AttnProcessor2_0())
            else:
                module.set_default_attn_processor()

    def fuse_projections(self, pipeline: Pipeline) -> None:
        """pipeline.fuse_qkv_projections(); the unfused weights stay in memory."""
        pipeline.fuse_qkv_projections()

    def compile(self, pipeline: Pipeline, mode: str) -> None:
        """The whole UNet, and the VAE's decode, each as one graph."""
        import torch

        denoiser, vae = self.denoiser_as_called(pipeline), self.decoder(pipeline)
        self.set_denoiser(pipeline, torch.compile(denoiser, mode=mode, fullgraph=True))
        vae.decode = torch.compile(vae.decode, mode=mode, fullgraph=True)
