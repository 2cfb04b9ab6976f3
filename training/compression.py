"""A UNet of half the size: the pocket without its deepest stage, distilled from the whole one.

The recipe is that of SSD-1B (Gupta et al., 'Progressive Knowledge Distillation of Stable Diffusion
XL Using Layer Level Loss', 2024): blocks are removed, what stays keeps its weights, and the rest is
learnt from the teacher's output and from the outputs of its blocks.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from training import models
from training.denoiser import SAMPLE_PROMPTS
from training.loop import cosine, save_grid
from training.teacher import Condition, Teacher, predict, with_plain_attention

# Blocks of the student, and the teacher's blocks whose outputs they learn to give.
TWINS = (
    ("down_blocks.0.resnets.0", "down_blocks.0.resnets.0"),
    ("down_blocks.1.attentions.0", "down_blocks.1.attentions.0"),
    ("up_blocks.0.attentions.1", "up_blocks.1.attentions.1"),
    ("up_blocks.1.resnets.1", "up_blocks.2.resnets.1"),
)


@dataclass(frozen=True)
class CompressionSettings:
    """How the smaller UNet is trained."""

    batch: int = 16
    learning_rate: float = 1.2e-3
    average_decay: float = 0.995
    snr_limit: float = 5.0
    snr_floor: float = 0.2
    empty_share: float = 0.10
    feature_weight: float = 0.1
    seed: int = 0


def smaller_unet() -> UNet2DConditionModel:
    """The pocket's UNet without what works at 4 x 4: 47 % of its weights, untrained."""
    first, second, _ = models.UNET_CHANNELS
    return UNet2DConditionModel(
        block_out_channels=(first, second),
        layers_per_block=1,
        sample_size=models.LATENT_SIZE,
        in_channels=models.LATENT_CHANNELS,
        out_channels=models.LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(first // models.HEAD_WIDTH, second // models.HEAD_WIDTH),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=models.TIME_ID_WIDTH,
        transformer_layers_per_block=1,
        projection_class_embeddings_input_dim=6 * models.TIME_ID_WIDTH + models.TEXT_WIDTH,
        cross_attention_dim=2 * models.TEXT_WIDTH,
        norm_num_groups=32,
    )


@torch.no_grad()
def inherit(student: UNet2DConditionModel, teacher: UNet2DConditionModel) -> int:
    """Copy what fits into a new student from the teacher's weights; returns how many numbers.

    The student's up blocks are the teacher's but for the first, which is gone.
    """
    theirs, copied = teacher.state_dict(), 0
    for name, mine in student.state_dict().items():
        source = name
        if name.startswith("up_blocks."):
            _, number, rest = name.split(".", 2)
            source = f"up_blocks.{int(number) + 1}.{rest}"
        found = theirs.get(source)
        if found is not None and found.shape == mine.shape and not name.startswith("mid_block"):
            mine.copy_(found)
            copied += mine.numel()
    return copied


class Outputs:
    """Remembers what some modules of a network gave in its last call."""

    def __init__(self, network: nn.Module, names: list[str]) -> None:
        self.names, self.last = names, dict[str, Tensor]()
        for name in names:
            network.get_submodule(name).register_forward_hook(self._noted(name))

    def _noted(self, name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self.last[name] = output[0] if isinstance(output, tuple) else output

        return hook

    def in_order(self) -> list[Tensor]:
        """The outputs, as the names stand."""
        return [self.last[name] for name in self.names]


class CompressionStage:
    """The smaller UNet; what is kept is the running average.

    Args:
        settings: of the training.
        teacher: the pocket, and its data.
    """

    name = "ssd"

    def __init__(self, settings: CompressionSettings, teacher: Teacher) -> None:
        torch.manual_seed(settings.seed + 4)
        self.settings, self.teacher = settings, teacher
        self.frozen = with_plain_attention(teacher.unet)
        small = smaller_unet()
        inherit(small, teacher.unet)
        self.student = with_plain_attention(small).train()
        self.average = copy.deepcopy(self.student).requires_grad_(False).eval()
        self.given = Outputs(self.student, [mine for mine, _ in TWINS])
        self.wanted = Outputs(self.frozen, [theirs for _, theirs in TWINS])
        self.optimiser = torch.optim.AdamW(
            self.student.parameters(), betas=(0.9, 0.99), weight_decay=1e-3, fused=True
        )

    def step(self, step: int, fraction: float) -> float:
        """One batch; returns the loss."""
        settings = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = settings.learning_rate * cosine(step, fraction)
        loss = self._loss(*self.teacher.batch(step, settings.batch))
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimiser.step()
        decay = min(settings.average_decay, (step + 1) / (step + 10))
        models.move_average(self.average, self.student, decay)
        return float(loss.item())

    def _loss(self, latents: Tensor, told: Condition) -> Tensor:
        """Weighted distance to the teacher's noise, and to its blocks' outputs."""
        settings, count = self.settings, len(latents)
        times = ((torch.arange(count) + torch.rand(count)) / count * 1000).long().clamp(max=999)
        told = told.kept((torch.rand(count) >= settings.empty_share).float())
        noisy = self.teacher.noisy(latents, torch.randn_like(latents), times)
        with torch.no_grad():
            wanted = predict(self.frozen, noisy, times, told)
        given = predict(self.student, noisy, times, told)
        signal = self.teacher.signal[times]
        snr = signal / (1 - signal)
        weights = snr.clamp(settings.snr_floor, settings.snr_limit) / snr
        output = (weights * (given - wanted).square().mean((1, 2, 3))).mean()
        return output + settings.feature_weight * self._features()

    def _features(self) -> Tensor:
        """Mean squared distance of the twins' outputs, each relative to the teacher's variance."""
        pairs = zip(self.given.in_order(), self.wanted.in_order(), strict=True)
        shares = [(mine - theirs).square().mean() / theirs.var() for mine, theirs in pairs]
        return torch.stack(shares).mean()

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])

    def sample(self, path: Path) -> None:
        """A row per seed, in 20 steps."""
        pipe = self.teacher.pipeline_with(self.average)
        rows = []
        for seed in range(2):
            made = pipe(
                list(SAMPLE_PROMPTS),
                num_inference_steps=20,
                generator=[torch.Generator().manual_seed(100 * seed + i) for i in range(12)],
                output_type="pt",
            ).images
            rows.append(made * 2 - 1)
        save_grid(torch.cat(rows), len(SAMPLE_PROMPTS), path)

    def save(self, folder: Path) -> None:
        """Write the averaged UNet in half precision."""
        unet = copy.deepcopy(self.average).half()
        unet.save_pretrained(folder, variant="fp16")
