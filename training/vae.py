"""First stage: the autoencoder, trained on an endless stream of fresh renders.

Later `DecoderStage` polishes the decoder alone, so that the latents the UNet learnt stay valid.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from training import models, scenes
from training.loop import cosine, half_precision, save_grid

JUNGLE_SHARE = 2  # green on green is the hardest picture: draw it twice as often
KL_WEIGHT = 1e-3
GRADIENT_WEIGHT = 0.5


@dataclass(frozen=True)
class VaeSettings:
    """How the autoencoder is trained."""

    batch: int = 4
    learning_rate: float = 1.5e-3
    decoder_learning_rate: float = 7e-4
    average_decay: float = 0.997
    latent_noise: float = 0.05
    seed: int = 0


def to_tensor(pictures: scenes.Picture) -> Tensor:
    """Pictures (n, 64, 64, 3) uint8 to (n, 3, 64, 64) in -1..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def weighted_scenes() -> list[scenes.Scene]:
    """Every scene, with the hard place as often as `JUNGLE_SHARE` says."""
    return [
        scene
        for scene in scenes.every_scene()
        for _ in range(JUNGLE_SHARE if scene.place == "jungle" else 1)
    ]


def fresh_batch(seed: int, stream: str, step: int, size: int) -> Tensor:
    """Renders nobody has seen before, (size, 3, 64, 64) in -1..1; the step decides which."""
    pool = weighted_scenes()
    pictures = []
    for index in range(step * size, (step + 1) * size):
        rng = scenes.dice(seed, stream, index)
        pictures.append(scenes.render(rng.choice(pool), rng))
    return to_tensor(np.stack(pictures))


def picture_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Distance in value and in slope: slopes are what keeps eyes and outlines sharp."""
    error = made - wanted
    slope_x = error[..., 1:] - error[..., :-1]
    slope_y = error[..., 1:, :] - error[..., :-1, :]
    slopes = slope_x.abs().mean() + slope_y.abs().mean()
    return error.abs().mean() + error.square().mean() + GRADIENT_WEIGHT * slopes


def mirror_half(latents: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror every second latent and its picture: a mirrored latent then means a mirrored scene."""
    odd = torch.arange(len(latents)) % 2 == 1
    choose = odd[:, None, None, None]
    return (
        torch.where(choose, latents.flip(-1), latents),
        torch.where(choose, pictures.flip(-1), pictures),
    )


class _PictureStage:
    """What both stages share; what is kept is the running average of the weights."""

    name: str

    def __init__(
        self, settings: VaeSettings, vae: AutoencoderKL, trained: list[nn.Module], peak: float
    ) -> None:
        self.settings, self.vae, self.peak = settings, vae, peak
        self.average = copy.deepcopy(vae).requires_grad_(False)
        self.weights = [weights for module in trained for weights in module.parameters()]
        self.optimiser = torch.optim.AdamW(
            self.weights, betas=(0.9, 0.99), weight_decay=1e-4, fused=True
        )

    def loss(self, pictures: Tensor) -> Tensor:
        """What the stage wants small, of pictures (n, 3, 64, 64) in -1..1."""
        raise NotImplementedError

    def step(self, step: int, fraction: float) -> float:
        """One batch; returns the loss."""
        settings = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = self.peak * cosine(step, fraction)
        loss = self.loss(fresh_batch(settings.seed, self.name, step, settings.batch))
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimiser.step()
        decay = min(settings.average_decay, (step + 1) / (step + 20))
        models.move_average(self.average, self.vae, decay)
        return float(loss.item())

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "vae": self.vae.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.vae.load_state_dict(state["vae"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])

    def sample(self, path: Path) -> None:
        """Held-out renders above their reconstructions."""
        save_reconstructions(self.average, path)


class VaeStage(_PictureStage):
    """Encoder and decoder together."""

    name = "vae"

    def __init__(self, settings: VaeSettings) -> None:
        torch.manual_seed(settings.seed)
        vae = models.new_vae()
        super().__init__(settings, vae, [vae], settings.learning_rate)

    def loss(self, pictures: Tensor) -> Tensor:
        """Distance of the reconstruction, and a little of the latents' from unit noise."""
        with half_precision():
            posterior = self.vae.encode(pictures).latent_dist
            latents, wanted = mirror_half(posterior.sample(), pictures)
            made: Tensor = self.vae.decode(latents).sample.float()
        mean: Tensor = posterior.mean.float()
        log_variance: Tensor = posterior.logvar.float()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return picture_loss(made, wanted) + KL_WEIGHT * divergence


class DecoderStage(_PictureStage):
    """The decoder alone, on latents with a little noise such as a sampler leaves."""

    name = "decoder"

    def __init__(self, settings: VaeSettings, vae: AutoencoderKL) -> None:
        torch.manual_seed(settings.seed + 1)
        own = copy.deepcopy(vae).requires_grad_(False)
        trained = [own.decoder, own.post_quant_conv]
        for module in trained:
            module.requires_grad_(True)
        super().__init__(settings, own, trained, settings.decoder_learning_rate)

    def loss(self, pictures: Tensor) -> Tensor:
        """Distance of the reconstruction."""
        with half_precision():
            with torch.no_grad():
                latents: Tensor = self.vae.encode(pictures).latent_dist.mean
            noise = self.settings.latent_noise * torch.randn_like(latents)
            latents, wanted = mirror_half(latents + noise, pictures)
            made: Tensor = self.vae.decode(latents).sample.float()
        return picture_loss(made, wanted)


def held_out_scenes(count: int, seed: int = 0) -> list[scenes.Scene]:
    """What the held-out renders show: the whole world in a shuffled order, again and again."""
    world = scenes.every_scene()
    order = scenes.dice(seed, "held-out order", 0).sample(world, len(world))
    return [order[i % len(order)] for i in range(count)]


def held_out(count: int, seed: int = 0) -> Tensor:
    """Renders that no stage trains on, (count, 3, 64, 64) in -1..1."""
    shown = held_out_scenes(count, seed)
    pictures = [scenes.render(s, scenes.dice(seed, "held-out", i)) for i, s in enumerate(shown)]
    return to_tensor(np.stack(pictures))


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Through the latents' mean and back, clipped to -1..1."""
    made = [
        vae.decode(vae.encode(some).latent_dist.mean).sample for some in torch.split(pictures, 32)
    ]
    return torch.cat(made).clamp(-1, 1)


def psnr_db(made: Tensor, wanted: Tensor) -> Tensor:
    """Peak signal to noise per picture, (n,), of pictures in -1..1."""
    error = (made - wanted).square().mean((1, 2, 3)).clamp_min(1e-10)
    return 10 * torch.log10(4 / error)


def save_reconstructions(vae: AutoencoderKL, path: Path, columns: int = 12) -> None:
    """Two rows of held-out renders, each above its reconstruction."""
    pictures = held_out(2 * columns)
    made = reconstruct(vae, pictures)
    rows = [pictures[:columns], made[:columns], pictures[columns:], made[columns:]]
    save_grid(torch.cat(rows), columns, path)


@torch.no_grad()
def set_latent_scale(vae: AutoencoderKL, seed: int) -> None:
    """Store the factor that gives the latents unit deviation, as SDXL's pipeline expects."""
    pictures = fresh_batch(seed, "latent scale", 0, 128)
    means = torch.cat([vae.encode(some).latent_dist.mean for some in torch.split(pictures, 32)])
    vae.register_to_config(scaling_factor=round(1 / float(means.std()), 5))
