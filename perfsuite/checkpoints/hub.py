"""SDXL base 1.0 and its kin from the Hugging Face hub: pinned revision, safetensors only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from perfsuite.checkpoints.architecture import outline_model
from perfsuite.checkpoints.files import FileMissing
from perfsuite.checkpoints.folder import load_model, load_pipeline, outline_pipeline
from perfsuite.checkpoints.layout import Component, Layout, read_layout
from perfsuite.errors import CheckpointError, HubUnreachable, head_of
from perfsuite.libraries import quiet_loading
from perfsuite.results.method import ComponentDigest, Configuration

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

Repository = tuple[str, str]
"""Name and revision."""

SDXL: Repository = (
    "stabilityai/stable-diffusion-xl-base-1.0",
    "462165984030d82259a11f4367a4eed129e94a7b",
)
SSD_1B: Repository = ("segmind/SSD-1B", "60987f37e94cd59c36b1cba832b9f97b57395a10")
LCM_LORA: Repository = (
    "latent-consistency/lcm-lora-sdxl",
    "a18548dd4956b174ec5b0d78d340c8dae0a129cd",
)
FP16_VAE: Repository = (
    "madebyollin/sdxl-vae-fp16-fix",
    "207b116dae70ace3637169f1ddd2434b91b3a8cd",
)

_SCHEDULER = "EulerDiscreteScheduler"
_TIMEOUT_S = 5.0
_WAYS_OUT = (
    "set HF_HOME to a cache that holds them, or pass --perf-checkpoint sdxl-random (full size, "
    "nothing downloaded) or --perf-checkpoint with a local folder"
)


@dataclass(frozen=True)
class HubSource:
    """SDXL base 1.0, or another pipeline of its class, at a pinned revision.

    Attributes:
        fp16_vae: replace the VAE by the one that does not overflow in fp16.
        repository: of the pipeline, with its revision.
    """

    fp16_vae: bool = False
    repository: Repository = SDXL

    def check(self) -> None:
        """See that everything that loading needs is in the local cache, or that the hub answers.

        Raises:
            HubUnreachable: neither.
            CheckpointError: the hub answers, but does not serve this revision, or a file in the
                cache is damaged.
        """
        for repository in self._repositories():
            try:
                self._check_cache(repository)
            except FileMissing as missing:
                _ask_hub(repository, missing)

    def identity(self) -> str:
        """Repositories with their revisions."""
        return " ".join(f"{name}@{revision[:12]}" for name, revision in self._repositories())

    def configuration(self) -> Configuration:
        """The revisions, which pin configs and tokenizers too."""
        revisions = tuple(ComponentDigest(*each) for each in self._repositories())
        return Configuration(_SCHEDULER, revisions, self.repository[1])

    def load(self, dtype: torch.dtype, torch_device: str) -> StableDiffusionXLPipeline:
        """Load with diffusers, from the local cache where it holds the revision."""
        prefer = "fp16" if dtype == torch.float16 else None
        layout = self._download(prefer)
        given = {"vae": _load_vae(dtype)} if self.fp16_vae else {}
        return load_pipeline(layout, dtype, torch_device, prefer=prefer, **given)

    def outline(self) -> StableDiffusionXLPipeline:
        """The pipeline of the configs in the local cache, on the meta device.

        Raises:
            CheckpointError: the cache does not hold them.
        """
        layout = read_layout(_cached(SDXL, "model_index.json"), replaced=self._replaced)
        if not self.fp16_vae:
            return outline_pipeline(layout)
        return outline_pipeline(
            layout, vae=outline_model(_fp16_vae(_cached(FP16_VAE, "config.json")))
        )

    @property
    def _replaced(self) -> tuple[str, ...]:
        return ("vae",) if self.fp16_vae else ()

    def _repositories(self) -> tuple[Repository, ...]:
        return (self.repository, FP16_VAE) if self.fp16_vae else (self.repository,)

    def _check_cache(self, repository: Repository) -> None:
        if repository == FP16_VAE:
            _fp16_vae(_cached(repository, "config.json")).check()
        else:
            self._cached_layout(variant=None)

    def _cached_layout(self, variant: str | None) -> Layout:
        """The pipeline in the local cache, if it is there as a whole."""
        layout = read_layout(_cached(self.repository, "model_index.json"), replaced=self._replaced)
        for each in layout.models:
            if each.weights(variant).variant != variant:
                raise FileMissing(
                    f"{each.folder} lacks its {variant or 'float32'} weights", hint=_WAYS_OUT
                )
        layout.check(variant)
        return layout

    def _download(self, variant: str | None) -> Layout:
        """The pipeline in the local cache; what it lacks is downloaded."""
        with contextlib.suppress(FileMissing):
            return self._cached_layout(variant)
        from diffusers import StableDiffusionXLPipeline

        folder = _downloaded(
            self.repository,
            StableDiffusionXLPipeline.download,
            variant=variant,
            use_safetensors=True,
            **dict.fromkeys(self._replaced),
        )
        return read_layout(folder, replaced=self._replaced)


def _fp16_vae(folder: Path) -> Component:
    return Component("vae", "diffusers", "AutoencoderKL", folder)


def _load_vae(dtype: torch.dtype) -> Any:
    from huggingface_hub import snapshot_download

    wanted = ["config.json", "diffusion_pytorch_model.safetensors"]
    try:
        folder = _cached(FP16_VAE, wanted[0])
        _fp16_vae(folder).check()
    except FileMissing:
        folder = _downloaded(FP16_VAE, snapshot_download, allow_patterns=wanted)
    with quiet_loading():
        return load_model(_fp16_vae(folder), dtype)


def _downloaded(repository: Repository, download: Callable[..., Any], **options: Any) -> Path:
    name, revision = repository
    try:
        with quiet_loading():
            return Path(download(name, revision=revision, **options))
    except Exception as error:
        raise CheckpointError(
            f"{name} cannot be downloaded ({head_of(error)})", hint=_WAYS_OUT
        ) from error


def _cached(repository: Repository, file: str) -> Path:
    """The folder of a revision in the local cache.

    Raises:
        FileMissing: the cache does not hold the file.
    """
    from huggingface_hub import try_to_load_from_cache

    name, revision = repository
    path = try_to_load_from_cache(name, file, revision=revision)
    if not isinstance(path, str) or not os.path.isfile(path):
        raise FileMissing(f"{file} of {name} is not in the cache", hint=_WAYS_OUT)
    return Path(path).parent


def _ask_hub(repository: Repository, missing: FileMissing) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    name, revision = repository
    try:
        HfApi().model_info(name, revision=revision, timeout=_TIMEOUT_S)
    except HfHubHTTPError as error:
        raise CheckpointError(
            f"the hub does not serve {name}@{revision[:12]} ({head_of(error)})", hint=_WAYS_OUT
        ) from None
    # The hub's client has changed its HTTP library twice; each has connection errors of its own.
    except Exception as error:
        raise HubUnreachable(
            f"the hub cannot be reached for {name} ({head_of(error)}), and {missing.problem}",
            hint=_WAYS_OUT,
        ) from None
