"""SDXL's full-size configuration with seeded random weights: latency without a download.

The architecture is that of SDXL base 1.0 (2.6 B parameters in the UNet). The tokenizers are those
of the pocket checkpoint; every token id that they give exists in the text encoders' full
vocabulary, and what they cost does not depend on which token it is.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from perfsuite.checkpoints.files import digest_config
from perfsuite.checkpoints.layout import digest_tokenizer
from perfsuite.errors import CheckpointError
from perfsuite.libraries import quiet_loading
from perfsuite.results.method import ComponentDigest, Configuration

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

_UNET: dict[str, Any] = {
    "sample_size": 128,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 2,
    "block_out_channels": (320, 640, 1280),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
    "force_upcast": False,
}
_TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}
_TEXT_2: dict[str, Any] = _TEXT | {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
_SCHEDULER: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
_TOKENIZER = Path(__file__).parent / "pocket" / "tokenizer"


@dataclass(frozen=True)
class RandomSdxlSource:
    """SDXL of full size whose weights are drawn, not trained.

    Attributes:
        seed: seed of the weights.
    """

    seed: int = 0

    def check(self) -> None:
        """See that the tokenizer is there.

        Raises:
            CheckpointError: the package was installed without its data.
        """
        digest_tokenizer(_TOKENIZER)

    def identity(self) -> str:
        """The seed, and the version of how weights are drawn from it."""
        return f"random weights 2, seed {self.seed}"

    def configuration(self) -> Configuration:
        """Digests of the constants above, and of the pocket checkpoint's tokenizer."""
        configs = {
            "unet": _UNET,
            "vae": _VAE,
            "text_encoder": _TEXT,
            "text_encoder_2": _TEXT_2,
            "scheduler": _SCHEDULER,
        }
        digests = tuple(
            ComponentDigest(name, digest_config(config)) for name, config in configs.items()
        )
        return Configuration("EulerDiscreteScheduler", digests, digest_tokenizer(_TOKENIZER))

    def load(self, dtype: torch.dtype, torch_device: str) -> StableDiffusionXLPipeline:
        """Draw the weights in place, in `dtype`, on `torch_device`."""
        pipeline = self.outline()
        modules = (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2)
        for offset, module in enumerate(modules):
            with quiet_loading():
                _draw_weights(module, dtype, torch_device, self.seed + offset)
        return pipeline

    def outline(self) -> StableDiffusionXLPipeline:
        """The pipeline before its weights are drawn: on the meta device."""
        from diffusers import (
            AutoencoderKL,
            EulerDiscreteScheduler,
            StableDiffusionXLPipeline,
            UNet2DConditionModel,
        )
        from transformers import (
            CLIPTextConfig,
            CLIPTextModel,
            CLIPTextModelWithProjection,
            CLIPTokenizer,
        )

        with quiet_loading():
            tokenizer = CLIPTokenizer.from_pretrained(_TOKENIZER)
            ends = {
                "bos_token_id": tokenizer.bos_token_id,
                "eos_token_id": tokenizer.eos_token_id,
                "pad_token_id": tokenizer.pad_token_id,
            }
            with torch.device("meta"):
                unet = UNet2DConditionModel(**_UNET)
                vae = AutoencoderKL(**_VAE)
                text_1 = CLIPTextModel(CLIPTextConfig(**_TEXT, **ends))
                text_2 = CLIPTextModelWithProjection(CLIPTextConfig(**_TEXT_2, **ends))
            for module in (unet, vae, text_1, text_2):
                module.eval().requires_grad_(False)
            return StableDiffusionXLPipeline(
                vae=vae,
                text_encoder=text_1,
                text_encoder_2=text_2,
                tokenizer=tokenizer,
                tokenizer_2=tokenizer,
                unet=unet,
                scheduler=EulerDiscreteScheduler(**_SCHEDULER),
                add_watermarker=False,
            )


@torch.no_grad()
def _draw_weights(module: nn.Module, dtype: torch.dtype, torch_device: str, seed: int) -> None:
    """Fill a module that lies on the meta device.

    Weights of two or more dimensions have variance 1 / fan-in, so that activations stay finite
    through the depth of SDXL; scales of norms are one, biases zero.
    """
    module.to(dtype).to_empty(device=torch_device)
    for name, weight in module.named_parameters():
        if weight.dim() >= 2:
            fan_in = weight[0].numel()
            _fill(weight, f"{seed} {name}", math.sqrt(3 / fan_in))
        else:
            weight.fill_(1.0 if name.endswith("weight") else 0.0)
    for name, buffer in module.named_buffers():
        if not name.endswith("position_ids"):
            raise CheckpointError(
                f"this transformers has a buffer '{name}' that random weights know nothing of",
                hint="install the versions of baselines/constraints.txt",
            )
        buffer.copy_(torch.arange(buffer.numel()).expand_as(buffer))


def _fill(weight: torch.Tensor, key: str, bound: float) -> None:
    """Uniform numbers from -bound to bound, the same on every device.

    A device's own generator gives each of its multiprocessors a part of the numbers, so that two
    cards draw different weights from one seed. Here each number is a hash of its place: the 32-bit
    finaliser of MurmurHash3 (Austin Appleby, public domain).

    Args:
        weight: to fill.
        key: names the weight.
        bound: largest magnitude.
    """
    numbers = torch.arange(weight.numel(), dtype=torch.int32, device=weight.device)
    numbers.bitwise_xor_(_signed(zlib.crc32(key.encode())))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        _mix(numbers, shift)
        numbers.mul_(_signed(factor))
    _mix(numbers, 16)
    whole = numbers.bitwise_right_shift_(8).float().mul_(bound / 2**23)  # 24 bits: exact in float32
    weight.copy_(whole.view(weight.shape))


def _mix(numbers: torch.Tensor, shift: int) -> None:
    """X ^= x >> shift, of unsigned numbers in a signed tensor."""
    upper = numbers.bitwise_right_shift(shift).bitwise_and_((1 << (32 - shift)) - 1)
    numbers.bitwise_xor_(upper)


def _signed(number: int) -> int:
    """The same 32 bits as a signed number."""
    return number - (1 << 32) if number >= 1 << 31 else number
