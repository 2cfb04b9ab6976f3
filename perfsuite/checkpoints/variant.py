"""A checkpoint in a local folder with its denoiser from another one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from perfsuite.checkpoints.architecture import check_architecture
from perfsuite.checkpoints.folder import FolderSource, load_pipeline, outline_pipeline
from perfsuite.checkpoints.layout import Layout, read_layout
from perfsuite.results.method import Configuration

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline


@dataclass(frozen=True)
class VariantSource:
    """A folder's pipeline around another UNet.

    Attributes:
        base: holds everything else.
        unet: folder of the UNet's config and weights.
    """

    base: FolderSource
    unet: Path

    def check(self) -> None:
        """See that the base holds an SDXL pipeline, and that the UNet's config fits its weights.

        Raises:
            CheckpointError: they do not.
        """
        layout = self._layout()
        layout.check()
        for each in layout.models:
            check_architecture(each)

    def identity(self) -> str:
        """First 12 hexadecimal digits of SHA-256 over the base's identity and the UNet."""
        digest = hashlib.sha256(self.base.identity().encode())
        for path in sorted(self.unet.glob("*.safetensors")):
            digest.update(path.read_bytes())
        return f"sha256:{digest.hexdigest()[:12]}"

    def configuration(self) -> Configuration:
        """Digests of all configs and tokenizers, the UNet's its own."""
        return self._layout().configuration()

    def load(self, dtype: torch.dtype, torch_device: str) -> StableDiffusionXLPipeline:
        """Load with diffusers: safetensors only, no network."""
        return load_pipeline(self._layout(), dtype, torch_device)

    def outline(self) -> StableDiffusionXLPipeline:
        """The pipeline of the configs, on the meta device; no weight is read."""
        return outline_pipeline(self._layout())

    def _layout(self) -> Layout:
        layout = read_layout(self.base.folder)
        components = tuple(
            replace(each, folder=self.unet) if each.name == "unet" else each
            for each in layout.components
        )
        return replace(layout, components=components)
