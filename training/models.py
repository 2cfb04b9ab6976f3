"""The networks of the pocket: SDXL's own classes, a few dozen channels wide, untrained."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

LATENT_CHANNELS = 4
LATENT_SIZE = 16
TEXT_WIDTH = 64
TEXT_LAYERS = 2
TOKENS = 77
TIME_ID_WIDTH = 8
UNET_CHANNELS = (64, 96, 128)
VAE_CHANNELS = (24, 48, 64)
HEAD_WIDTH = 32


def new_vae() -> AutoencoderKL:
    """Pictures (n, 3, 64, 64) in -1..1 to latents (n, 4, 16, 16) and back."""
    return AutoencoderKL(
        block_out_channels=VAE_CHANNELS,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=LATENT_CHANNELS,
        sample_size=64,
        norm_num_groups=8,
        layers_per_block=1,
        force_upcast=False,
    )


def new_unet(channels: tuple[int, int, int] = UNET_CHANNELS) -> UNet2DConditionModel:
    """The denoiser: text in the cross-attentions, pooled text and time ids added to the time."""
    return UNet2DConditionModel(
        block_out_channels=channels,
        layers_per_block=1,
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=tuple(width // HEAD_WIDTH for width in channels),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_ID_WIDTH,
        transformer_layers_per_block=1,
        projection_class_embeddings_input_dim=6 * TIME_ID_WIDTH + TEXT_WIDTH,
        cross_attention_dim=2 * TEXT_WIDTH,
        norm_num_groups=32,
    )


def new_text_encoders(vocabulary: int) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    """SDXL's two text encoders; the last two entries of the vocabulary are start and end."""
    first = CLIPTextModel(_text_config(vocabulary, "quick_gelu"))
    second = CLIPTextModelWithProjection(_text_config(vocabulary, "gelu"))
    for encoder in (first, second):
        _spread_embeddings(encoder)
    return first, second


def _text_config(vocabulary: int, activation: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=vocabulary,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_attention_heads=TEXT_WIDTH // HEAD_WIDTH,
        num_hidden_layers=TEXT_LAYERS,
        projection_dim=TEXT_WIDTH,
        max_position_embeddings=TOKENS,
        hidden_act=activation,
    )


def _spread_embeddings(encoder: nn.Module) -> None:
    """CLIP's own 0.02 leaves the words of a two-layer encoder indistinct for thousands of steps."""
    for name, weights in encoder.named_parameters():
        if "token_embedding" in name:
            nn.init.normal_(weights, std=0.5)
        elif "position_embedding" in name:
            nn.init.normal_(weights, std=0.1)


def new_scheduler() -> EulerDiscreteScheduler:
    """SDXL's scheduler, setting by setting."""
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        timestep_spacing="leading",
        prediction_type="epsilon",
        interpolation_type="linear",
        use_karras_sigmas=False,
    )


def parameters_of(module: nn.Module) -> int:
    """How many numbers a network holds."""
    return sum(weights.numel() for weights in module.parameters())


@torch.no_grad()
def move_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """Let the averaged weights follow the trained ones: average = decay * average + the rest."""
    torch._foreach_lerp_(list(average.parameters()), list(module.parameters()), 1 - decay)
