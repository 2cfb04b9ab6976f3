"""An adapter for few steps: latent consistency distillation of the pocket into LoRA weights.

The recipe is that of LCM-LoRA (Luo et al., 'LCM-LoRA: A Universal Stable-Diffusion Acceleration
Module', 2023): a DDIM solver of the teacher under guidance skips `skip` times at once, the
student's answer at the earlier time, without gradient, is the target of its answer at the later
one, and boundary scalings make the student's answer at time 0 the latents themselves.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import LCMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from training.denoiser import SAMPLE_PROMPTS
from training.loop import cosine, save_grid
from training.teacher import Condition, Teacher, predict, with_plain_attention

ADAPTED = (
    "to_q",
    "to_k",
    "to_v",
    "to_out.0",
    "proj_in",
    "proj_out",
    "ff.net.0.proj",
    "ff.net.2",
    "conv1",
    "conv2",
    "conv_shortcut",
    "downsamplers.0.conv",
    "upsamplers.0.conv",
    "time_emb_proj",
)
SIGMA_DATA = 0.5  # of the boundary scalings, as in LCMScheduler
TIME_SCALING = 10.0  # likewise
STEPS = 4  # of the sample grids


@dataclass(frozen=True)
class ConsistencySettings:
    """How the adapter is trained."""

    batch: int = 16
    learning_rate: float = 2e-3
    rank: int = 16
    guidance: float = 5.0  # scale of the teacher's guidance, which becomes part of the weights
    skip: int = 50  # times of the thousand that the solver goes at once
    huber: float = 1e-3
    average_decay: float = 0.99
    seed: int = 0


def boundary_scalings(times: Tensor) -> tuple[Tensor, Tensor]:
    """LCMScheduler's c_skip and c_out of times (n,), each (n, 1, 1, 1)."""
    scaled = (times.float() * TIME_SCALING).view(-1, 1, 1, 1)
    spread = scaled**2 + SIGMA_DATA**2
    return SIGMA_DATA**2 / spread, scaled / spread.sqrt()


def huber(error: Tensor, width: float) -> Tensor:
    """Mean pseudo-Huber distance, which forgives outliers."""
    return ((error.square() + width**2).sqrt() - width).mean()


class ConsistencyStage:
    """LoRA weights whose running average is kept.

    Args:
        settings: of the training.
        teacher: the pocket, and its data.
    """

    name = "lcm"

    def __init__(self, settings: ConsistencySettings, teacher: Teacher) -> None:
        torch.manual_seed(settings.seed + 3)
        self.settings, self.teacher = settings, teacher
        self.frozen = with_plain_attention(teacher.unet)
        self.student = with_plain_attention(teacher.unet)
        self.student.add_adapter(
            LoraConfig(r=settings.rank, lora_alpha=settings.rank, target_modules=list(ADAPTED))
        )
        self.average = copy.deepcopy(self.student)
        self.weights = [each for each in self.student.parameters() if each.requires_grad]
        self._average = [each for each in self.average.parameters() if each.requires_grad]
        self.optimiser = torch.optim.AdamW(self.weights, betas=(0.9, 0.99), weight_decay=1e-3)

    def step(self, step: int, fraction: float) -> float:
        """One batch; returns the loss."""
        settings = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = settings.learning_rate * cosine(step, fraction)
        loss = self._loss(*self.teacher.batch(step, settings.batch))
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimiser.step()
        decay = min(settings.average_decay, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self._average, self.weights, 1 - decay)
        return float(loss.item())

    def _loss(self, latents: Tensor, told: Condition) -> Tensor:
        """Distance between the student's answers at two neighbouring times of one trajectory."""
        count = len(latents)
        # One time from each of `count` equal slices: every batch sees the whole range.
        later = ((torch.arange(count) + torch.rand(count)) / count * 1000).long().clamp(1, 999)
        earlier = (later - self.settings.skip).clamp(min=0)
        noisy = self.teacher.noisy(latents, torch.randn_like(latents), later)
        answer = self.answer(noisy, later, told)
        with torch.no_grad():
            nearer = self._solved(noisy, later, earlier, told)
            target = self.answer(nearer, earlier, told)
        return huber(answer - target, self.settings.huber)

    def answer(self, noisy: Tensor, times: Tensor, told: Condition) -> Tensor:
        """The latents at the end of the trajectory, as the student sees them."""
        c_skip, c_out = boundary_scalings(times)
        noise = predict(self.student, noisy, times, told)
        return c_skip * noisy + c_out * self._clean(noisy, noise, times)

    @torch.no_grad()
    def _solved(self, noisy: Tensor, later: Tensor, earlier: Tensor, told: Condition) -> Tensor:
        """One DDIM step of the teacher under guidance."""
        empty = told.kept(torch.zeros(len(noisy)))
        both = Condition(
            torch.cat([empty.states, told.states]), torch.cat([empty.pooled, told.pooled])
        )
        without, given = predict(
            self.frozen, torch.cat([noisy, noisy]), torch.cat([later, later]), both
        ).chunk(2)
        noise = without + self.settings.guidance * (given - without)
        return self.teacher.noisy(self._clean(noisy, noise, later), noise, earlier)

    def _clean(self, noisy: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        signal = self.teacher.signal[times].view(-1, 1, 1, 1)
        return (noisy - (1 - signal).sqrt() * noise) / signal.sqrt()

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "weights": list(self.weights),
            "average": list(self._average),
            "optimiser": self.optimiser.state_dict(),
        }

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        torch._foreach_copy_(self.weights, state["weights"])
        torch._foreach_copy_(self._average, state["average"])
        self.optimiser.load_state_dict(state["optimiser"])

    def sample(self, path: Path) -> None:
        """A row per seed, in four steps."""
        pipe = few_steps(self.teacher.pipeline_with(self.average))
        rows = []
        for seed in range(2):
            made = pipe(
                list(SAMPLE_PROMPTS),
                num_inference_steps=STEPS,
                guidance_scale=0.0,
                generator=[torch.Generator().manual_seed(100 * seed + i) for i in range(12)],
                output_type="pt",
            ).images
            rows.append(made * 2 - 1)
        save_grid(torch.cat(rows), len(SAMPLE_PROMPTS), path)

    def save(self, folder: Path) -> None:
        """Write the averaged adapter in half precision, as `load_lora_weights` reads it."""
        weights = {
            name: tensor.half().contiguous()
            for name, tensor in get_peft_model_state_dict(self.average).items()
        }
        StableDiffusionXLPipeline.save_lora_weights(folder, unet_lora_layers=weights)


def few_steps(pipe: StableDiffusionXLPipeline) -> StableDiffusionXLPipeline:
    """The pipeline with LCMScheduler in the place of its own."""
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    return pipe


def adapter_size(unet: UNet2DConditionModel) -> int:
    """How many numbers an adapter holds."""
    return sum(each.numel() for each in unet.parameters() if each.requires_grad)
