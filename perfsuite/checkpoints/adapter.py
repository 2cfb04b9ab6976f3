"""LoRA weights that are fused into a checkpoint's, as few-step methods need them."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.errors import CheckpointError

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline


@dataclass(frozen=True)
class Adapter:
    """LoRA weights in safetensors: of a hub repository at a pinned revision, or of a folder.

    Attributes:
        source: the repository, or a path.
        weights: file name of the weights.
        revision: commit of the repository; None for a path.
        scale: factor of the adapter's weights.
    """

    source: str
    weights: str = "pytorch_lora_weights.safetensors"
    revision: str | None = None
    scale: float = 1.0

    def check(self) -> None:
        """See that the adapter can be loaded, before any weight is.

        Raises:
            CheckpointError: it cannot; the message names the way out.
        """
        if importlib.util.find_spec("peft") is None:
            raise CheckpointError(
                f"adapter '{self.source}' needs peft, which is not installed",
                hint="pip install peft, or leave its tier out of --perf-tiers",
            )
        if self.revision is not None and not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise CheckpointError(
                f"adapter '{self.source}' has no pinned revision ({self.revision})",
                hint="name a commit of 40 hexadecimal digits",
            )
        if self.revision is None and not self._path.is_file():
            raise CheckpointError(
                f"adapter {self._path} is not there", hint="name a revision, or another path"
            )

    def identity(self) -> str:
        """Repository with its revision, or a digest of the file; and the scale."""
        if self.revision is not None:
            return f"{self.source}@{self.revision[:12]} x{self.scale:g}"
        digest = hashlib.sha256(self._path.read_bytes()).hexdigest()
        return f"sha256:{digest[:12]} x{self.scale:g}"

    def fuse(self, pipeline: StableDiffusionXLPipeline) -> None:
        """Add the adapter to the pipeline's weights, and leave no trace but them."""
        pipeline.load_lora_weights(
            self.source,
            weight_name=self.weights,
            revision=self.revision,
            use_safetensors=True,
            local_files_only=self.revision is None,
        )
        pipeline.fuse_lora(lora_scale=self.scale)
        pipeline.unload_lora_weights()

    @property
    def _path(self) -> Path:
        return Path(self.source, self.weights)
