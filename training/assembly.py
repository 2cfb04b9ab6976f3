"""Put the trained parts together as the pipeline that everybody loads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from training import captions, models
from training.tokenizer import new_tokenizer

TEXT_ENCODERS = ("text_encoder", "text_encoder_2")


@dataclass(frozen=True)
class Denoiser:
    """What is trained together: the UNet and the two text encoders, and the words they share."""

    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    text_encoder_2: CLIPTextModelWithProjection
    tokenizer: CLIPTokenizer

    @classmethod
    def new(cls, channels: tuple[int, int, int] = models.UNET_CHANNELS) -> Denoiser:
        """Freshly initialised."""
        tokenizer = new_tokenizer(captions.vocabulary())
        first, second = models.new_text_encoders(len(tokenizer))
        return cls(models.new_unet(channels), first, second, tokenizer)

    @property
    def networks(self) -> nn.ModuleList:
        """The trainable parts, in a fixed order."""
        return nn.ModuleList([self.unet, self.text_encoder, self.text_encoder_2])


def pipeline(vae: AutoencoderKL, denoiser: Denoiser) -> StableDiffusionXLPipeline:
    """A quiet SDXL pipeline over these very parts (nothing is copied)."""
    pipe = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=denoiser.text_encoder,
        text_encoder_2=denoiser.text_encoder_2,
        tokenizer=denoiser.tokenizer,
        tokenizer_2=denoiser.tokenizer,
        unet=denoiser.unet,
        scheduler=models.new_scheduler(),
        add_watermarker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def save_half(pipe: StableDiffusionXLPipeline, folder: Path) -> None:
    """Write the pipeline in half precision, for `from_pretrained(folder, variant="fp16")`.

    The text encoders' configurations name float32: transformers takes the stored type when nobody
    asks for one, diffusers takes float32, and one pipeline must not mix the two.
    """
    pipe.to(dtype=torch.float16)
    pipe.save_pretrained(folder, variant="fp16")
    for name in TEXT_ENCODERS:
        path = folder / name / "config.json"
        config = json.loads(path.read_text()) | {"dtype": "float32"}
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
