"""What distilled methods share: the trained pocket as teacher, its data and its conditioning."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from training import captions, models, scenes


@dataclass(frozen=True)
class Condition:
    """What the UNet is told beside the latents.

    Attributes:
        states: of both text encoders, (n, 77, 128).
        pooled: of the second text encoder, (n, 64).
    """

    states: Tensor
    pooled: Tensor

    def kept(self, share: Tensor) -> Condition:
        """The condition where `share` (n,) is 1, and the zeros of an empty prompt where it is 0."""
        return Condition(self.states * share[:, None, None], self.pooled * share[:, None])


class Teacher:
    """The trained pocket, frozen, and batches of the latents that it was taught.

    Args:
        checkpoint: the pocket's folder.
        latents: scaled latents of renders, (renders, 4, 16, 16), render i of scene i modulo 216.
        seed: of the captions.
    """

    def __init__(self, checkpoint: Path, latents: Tensor, seed: int) -> None:
        self.pipe = StableDiffusionXLPipeline.from_pretrained(checkpoint, variant="fp16")
        self.pipe.set_progress_bar_config(disable=True)
        for network in (self.pipe.unet, self.pipe.text_encoder, self.pipe.text_encoder_2):
            network.requires_grad_(False).eval()
        self.latents, self.seed = latents, seed
        self.world = scenes.every_scene()
        self.signal: Tensor = models.new_scheduler().alphas_cumprod

    @property
    def unet(self) -> UNet2DConditionModel:
        """The UNet that is learnt from."""
        unet: UNet2DConditionModel = self.pipe.unet
        return unet

    def batch(self, step: int, size: int) -> tuple[Tensor, Condition]:
        """Latents (size, 4, 16, 16), mirrored half of the time, and what their captions say."""
        chosen = torch.randint(len(self.latents), (size,))
        mirrored = (torch.rand(size) < 0.5)[:, None, None, None]
        latents = self.latents[chosen]
        rng = scenes.dice(self.seed, "captions", step)
        words = [captions.caption(self.world[i % len(self.world)], rng) for i in chosen.tolist()]
        return torch.where(mirrored, latents.flip(-1), latents), self.told(words)

    @torch.no_grad()
    def told(self, words: list[str]) -> Condition:
        """What SDXL's pipeline makes of prompts, without a negative one."""
        tokens = torch.tensor(self.pipe.tokenizer(words, padding="max_length").input_ids)
        first = self.pipe.text_encoder(tokens, output_hidden_states=True)
        second = self.pipe.text_encoder_2(tokens, output_hidden_states=True)
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1)
        return Condition(states, second.text_embeds)

    def noisy(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Latents with the noise of their times (n,)."""
        signal = self.signal[times].view(-1, 1, 1, 1)
        return signal.sqrt() * latents + (1 - signal).sqrt() * noise

    def pipeline_with(self, unet: UNet2DConditionModel) -> StableDiffusionXLPipeline:
        """The teacher's pipeline around another UNet; all other parts are the teacher's own."""
        parts = self.pipe.components | {"unet": unet}
        pipe = StableDiffusionXLPipeline(**parts, add_watermarker=False)
        pipe.set_progress_bar_config(disable=True)
        return pipe


def predict(unet: UNet2DConditionModel, noisy: Tensor, times: Tensor, told: Condition) -> Tensor:
    """The noise that a UNet sees in latents (n, 4, 16, 16)."""
    side = float(8 * models.LATENT_SIZE // 2)
    time_ids = torch.tensor([[side, side, 0.0, 0.0, side, side]]).expand(len(noisy), 6)
    extra = {"text_embeds": told.pooled, "time_ids": time_ids}
    predicted: Tensor = unet(noisy, times, told.states, added_cond_kwargs=extra).sample
    return predicted


def with_plain_attention(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """A copy that computes attention as matrix products, whose backward pass is faster on a CPU."""
    own = copy.deepcopy(unet)
    own.set_attn_processor(AttnProcessor())
    return own
