"""A checkpoint in a local folder, as `save_pretrained` writes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from perfsuite.checkpoints.architecture import check_architecture, class_of, outline_model
from perfsuite.checkpoints.files import COPY_HINT
from perfsuite.checkpoints.layout import Component, Layout, read_layout
from perfsuite.errors import CheckpointError, head_of
from perfsuite.libraries import quiet_loading
from perfsuite.out_of_memory import is_out_of_memory
from perfsuite.results.method import Configuration

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline


@dataclass(frozen=True)
class FolderSource:
    """A folder with `model_index.json`, safetensors weights and tokenizers.

    Attributes:
        folder: the folder.
    """

    folder: Path

    def check(self) -> None:
        """See that the folder holds an SDXL pipeline whose configs and weights' headers fit.

        Raises:
            CheckpointError: it does not.
        """
        layout = read_layout(self.folder)
        layout.check()
        for each in layout.models:
            check_architecture(each)

    def identity(self) -> str:
        """First 12 hexadecimal digits of SHA-256 over all weights, in order of their paths."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.glob("*/*.safetensors")):
            with path.open("rb") as weights:
                while block := weights.read(1 << 22):
                    digest.update(block)
        return f"sha256:{digest.hexdigest()[:12]}"

    def configuration(self) -> Configuration:
        """Digests of the folder's configs and tokenizers."""
        return read_layout(self.folder).configuration()

    def native_size(self) -> tuple[int, int]:
        """Height and width, in pixels, of the images that the UNet was made for."""
        return read_layout(self.folder).native_size()

    def load(self, dtype: torch.dtype, torch_device: str) -> StableDiffusionXLPipeline:
        """Load with diffusers: safetensors only, no network."""
        return load_pipeline(read_layout(self.folder), dtype, torch_device)

    def outline(self) -> StableDiffusionXLPipeline:
        """The pipeline of the folder's configs, on the meta device; no weight is read."""
        return outline_pipeline(read_layout(self.folder))


def load_pipeline(
    layout: Layout,
    dtype: torch.dtype,
    torch_device: str,
    *,
    prefer: str | None = None,
    **replaced: Any,
) -> StableDiffusionXLPipeline:
    """Load a pipeline from a folder; every component in the variant that its folder holds.

    Args:
        layout: of the folder.
        dtype: of all weights.
        torch_device: where to put them.
        prefer: variant to take where a component has it.
        replaced: components that were loaded from elsewhere.

    Raises:
        CheckpointError: the libraries cannot load it, or tensors are missing from its weights.
    """
    with quiet_loading():
        # One by one: diffusers' own `variant` is for all components, and it stops where a folder
        # holds a file without a dot in its name.
        models = {each.name: load_model(each, dtype, prefer) for each in layout.models}
    return _assembled(layout, models | replaced, dtype).to(torch_device)


def outline_pipeline(layout: Layout, **replaced: Any) -> StableDiffusionXLPipeline:
    """A pipeline of a folder's configs, on the meta device.

    Args:
        layout: of the folder; its weights need not be there.
        replaced: components that were made from elsewhere.

    Raises:
        CheckpointError: the libraries cannot make it.
    """
    models = {each.name: outline_model(each) for each in layout.models}
    return _assembled(layout, models | replaced, torch.float32)


def _assembled(
    layout: Layout, models: dict[str, Any], dtype: torch.dtype
) -> StableDiffusionXLPipeline:
    """A pipeline of models that are there, with the folder's scheduler and tokenizers."""
    from diffusers import StableDiffusionXLPipeline

    with quiet_loading():
        try:
            return StableDiffusionXLPipeline.from_pretrained(
                str(layout.folder),
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                add_watermarker=False,
                **models,
            )
        except Exception as error:
            raise _does_not_load(layout.folder, error) from error


def load_model(component: Component, dtype: torch.dtype, prefer: str | None = None) -> Any:
    """Load one component and see that its weights hold every tensor that it needs.

    Both libraries would draw those that are missing at random, and only log it.

    Raises:
        CheckpointError: it cannot be loaded, or a tensor is missing.
    """
    variant = component.weights(prefer).variant
    try:
        model, found = class_of(component).from_pretrained(
            str(component.folder),
            dtype=dtype,
            variant=variant,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise _does_not_load(component.folder, error) from error
    missing = sorted(found["missing_keys"])
    if missing:
        raise CheckpointError(
            f"weights in {component.folder} lack {len(missing)} tensors that its config.json asks "
            f"for, {missing[0]} first",
            hint="copy config.json and weights of one and the same model",
        )
    return model


def _does_not_load(folder: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{folder} does not load ({head_of(error)})", hint=COPY_HINT)
