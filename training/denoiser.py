"""Second stage: UNet and both text encoders together, on latents of renders encoded once."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import AttnProcessor
from rich.console import Console
from torch import Tensor

from training import captions, models, scenes
from training.assembly import Denoiser, pipeline
from training.loop import cosine, half_precision, save_grid, write_atomically
from training.vae import to_tensor

SAMPLE_PROMPTS = (
    "Astronaut in a jungle, cold color palette, muted colors, detailed, 8k",
    "Cat in a desert, warm color palette, detailed",
    "A fox in the snow",
    "Robot in a city, cold color palette",
    "A photo of a panda in a space",
    "Penguin in the sea, 8k",
    "A lion in a jungle, warm color palette",
    "Unicorn in a city, muted colors, detailed, 8k",
    "Octopus in a snow, plain color palette",
    "Frog in a jungle",
    "Owl in a space, warm color palette",
    "Dog in a sea, cold color palette, muted colors, detailed, 8k",
)


@dataclass(frozen=True)
class DenoiserSettings:
    """How UNet and text encoders are trained."""

    batch: int = 32
    renders: int = 12_960  # sixty of every scene; each is shown mirrored half of the time
    learning_rate: float = 1.2e-3
    average_decay: float = 0.998
    snr_limit: float = 5.0
    snr_floor: float = 0.2
    empty_share: float = 0.10
    negative_share: float = 0.03
    seed: int = 0


@torch.no_grad()
def encode_renders(vae: AutoencoderKL, settings: DenoiserSettings, console: Console) -> Tensor:
    """Scaled latents (renders, 4, 16, 16); render i shows scene i modulo their number."""
    world, latents = scenes.every_scene(), []
    for start in range(0, settings.renders, 32):
        indices = range(start, min(start + 32, settings.renders))
        pictures = np.stack(
            [
                scenes.render(world[i % len(world)], scenes.dice(settings.seed, "denoiser", i))
                for i in indices
            ]
        )
        with half_precision():
            latents.append(vae.encode(to_tensor(pictures)).latent_dist.mean.float())
    console.print(f"encoded {settings.renders} renders", highlight=False)
    scale: float = vae.config.scaling_factor
    return torch.cat(latents) * scale


def cached_latents(
    vae: AutoencoderKL, settings: DenoiserSettings, folder: Path, console: Console
) -> Tensor:
    """`encode_renders`, remembered in the folder."""
    path = folder / "latents.pt"
    if not path.exists():
        latents = encode_renders(vae, settings, console)
        write_atomically(path, lambda beside: torch.save(latents, beside))
    latents = torch.load(path, weights_only=True)
    assert isinstance(latents, Tensor)
    return latents


def _plain_attention(denoiser: Denoiser) -> None:
    """Write attention as plain matrix products, which train faster on a CPU.

    At these sizes the fused kernel's backward pass is the slowest part of a step: 0.76 s a step
    with it, 0.53 s without.
    """
    denoiser.unet.set_attn_processor(AttnProcessor())
    for encoder in (denoiser.text_encoder, denoiser.text_encoder_2):
        encoder.set_attn_implementation("eager")


class DenoiserStage:
    """Noise prediction with SDXL's conditioning; what is kept is the running average."""

    name = "denoiser"

    def __init__(
        self,
        settings: DenoiserSettings,
        vae: AutoencoderKL,
        latents: Tensor,
        channels: tuple[int, int, int] = models.UNET_CHANNELS,
    ) -> None:
        torch.manual_seed(settings.seed + 2)
        self.settings, self.vae, self.latents = settings, vae, latents
        self.trained = Denoiser.new(channels)
        self.networks = self.trained.networks.train()
        self.average = copy.deepcopy(self.trained)
        self.average_networks = self.average.networks.requires_grad_(False).eval()
        _plain_attention(self.trained)
        self.signal = models.new_scheduler().alphas_cumprod
        self.world = scenes.every_scene()
        self.optimiser = torch.optim.AdamW(
            self.networks.parameters(), betas=(0.9, 0.99), weight_decay=1e-3, fused=True
        )

    def step(self, step: int, fraction: float) -> float:
        """One batch; returns the weighted loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * cosine(step, fraction)
        loss = self._loss(*self._batch(step))
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        self.optimiser.step()
        decay = min(self.settings.average_decay, (step + 1) / (step + 10))
        models.move_average(self.average_networks, self.networks, decay)
        return float(loss.item())

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Latents (batch, 4, 16, 16), mirrored half of the time, and their captions' tokens."""
        chosen = torch.randint(len(self.latents), (self.settings.batch,))
        mirrored = (torch.rand(self.settings.batch) < 0.5)[:, None, None, None]
        latents = self.latents[chosen]
        latents = torch.where(mirrored, latents.flip(-1), latents)
        rng = scenes.dice(self.settings.seed, "captions", step)
        words = [
            rng.choice(captions.NEGATIVES)
            if rng.random() < self.settings.negative_share
            else captions.caption(self.world[i % len(self.world)], rng)
            for i in chosen.tolist()
        ]
        return latents, self._tokens(words)

    def _tokens(self, words: list[str]) -> Tensor:
        padded = self.trained.tokenizer(words, padding="max_length", truncation=True)
        return torch.tensor(padded.input_ids)

    def _loss(self, latents: Tensor, tokens: Tensor) -> Tensor:
        """Mean squared error of the predicted noise, weighted by clamp(snr, floor, limit) / snr.

        The limit is min-SNR weighting. The floor lifts the noisiest times, where the palette is
        decided and an error in the noise is far too small to be noticed without it.
        """
        count = len(latents)
        # One time from each of `count` equal slices: every batch sees the whole range.
        times = ((torch.arange(count) + torch.rand(count)) / count * 1000).long().clamp(max=999)
        signal: Tensor = self.signal[times].view(-1, 1, 1, 1)
        noise = torch.randn_like(latents)
        noisy = signal.sqrt() * latents + (1 - signal).sqrt() * noise
        predicted = self._predict(noisy, times, tokens)
        snr = (signal / (1 - signal)).flatten()
        weights = snr.clamp(self.settings.snr_floor, self.settings.snr_limit) / snr
        return (weights * (predicted - noise).square().mean((1, 2, 3))).mean()

    def _predict(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """As SDXL's pipeline does it: both encoders' last but one states, the second's pooled."""
        kept = (torch.rand(len(noisy)) >= self.settings.empty_share).float()[:, None]
        with half_precision():
            first = self.trained.text_encoder(tokens, output_hidden_states=True)
            second = self.trained.text_encoder_2(tokens, output_hidden_states=True)
            states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1)
            side = float(8 * models.LATENT_SIZE // 2)
            time_ids = torch.tensor([[side, side, 0.0, 0.0, side, side]]).expand(len(noisy), 6)
            extra = {"text_embeds": second.text_embeds * kept, "time_ids": time_ids}
            predicted: Tensor = self.trained.unet(
                noisy, times, states * kept[..., None], added_cond_kwargs=extra
            ).sample
        return predicted.float()

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "networks": self.networks.state_dict(),
            "average": self.average_networks.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.networks.load_state_dict(state["networks"])
        self.average_networks.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])

    def sample(self, path: Path) -> None:
        """A row per seed of pictures from the averaged weights, in 20 steps."""
        pipe = pipeline(self.vae, self.average)
        rows = []
        for seed in range(2):
            dice = [torch.Generator().manual_seed(100 * seed + i) for i in range(12)]
            made = pipe(
                list(SAMPLE_PROMPTS),
                num_inference_steps=20,
                generator=dice,
                height=64,
                width=64,
                output_type="pt",
            ).images
            rows.append(made * 2 - 1)
        save_grid(torch.cat(rows), len(SAMPLE_PROMPTS), path)
