"""A checkpoint in a local folder, as `save_pretrained` writes it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from perfsuite.errors import CheckpointError
from perfsuite.libraries import quiet_loading

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

_HINT = "pass a folder made by StableDiffusionXLPipeline.save_pretrained"


@dataclass(frozen=True)
class FolderSource:
    """A folder with `model_index.json`, safetensors weights and tokenizers.

    Attributes:
        folder: the folder.
    """

    folder: Path

    def check(self) -> None:
        """See that the folder describes an SDXL pipeline and holds safetensors.

        Raises:
            CheckpointError: it does not.
        """
        index = self.folder / "model_index.json"
        try:
            name = json.loads(index.read_text())["_class_name"]
        except FileNotFoundError:
            raise CheckpointError(f"{self.folder} has no model_index.json", hint=_HINT) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{index} cannot be read ({error})", hint=_HINT) from None
        if name != "StableDiffusionXLPipeline":
            raise CheckpointError(f"{self.folder} holds a {name}, not SDXL", hint=_HINT)
        for component in ("unet", "vae", "text_encoder", "text_encoder_2"):
            if not any((self.folder / component).glob("*.safetensors")):
                raise CheckpointError(
                    f"{self.folder / component} holds no safetensors weights", hint=_HINT
                )

    def identity(self) -> str:
        """First 12 hexadecimal digits of SHA-256 over all weights, in order of their paths."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.glob("*/*.safetensors")):
            with path.open("rb") as weights:
                while block := weights.read(1 << 20):
                    digest.update(block)
        return f"sha256:{digest.hexdigest()[:12]}"

    def native_size(self) -> int:
        """Side of the square image, in pixels, that the checkpoint's UNet was made for."""
        unet = json.loads((self.folder / "unet" / "config.json").read_text())
        vae = json.loads((self.folder / "vae" / "config.json").read_text())
        halvings = len(vae["block_out_channels"]) - 1
        return int(unet["sample_size"]) << halvings

    def load(self, dtype: torch.dtype, torch_device: str) -> StableDiffusionXLPipeline:
        """Load with diffusers: safetensors only, no network."""
        from diffusers import StableDiffusionXLPipeline

        with quiet_loading():
            pipeline = StableDiffusionXLPipeline.from_pretrained(
                self.folder,
                dtype=dtype,
                variant=self._variant(),
                use_safetensors=True,
                local_files_only=True,
                add_watermarker=False,
            )
        return pipeline.to(torch_device)

    def _variant(self) -> str | None:
        names = [path.name for path in (self.folder / "unet").glob("*.safetensors")]
        plain = any(".fp16." not in name for name in names)
        return None if plain else "fp16"
