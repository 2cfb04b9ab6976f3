"""SDXL base 1.0 from the Hugging Face hub: pinned revision, safetensors only, no remote code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from perfsuite.errors import CheckpointError, HubUnreachable
from perfsuite.libraries import quiet_loading

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, StableDiffusionXLPipeline

SDXL = ("stabilityai/stable-diffusion-xl-base-1.0", "462165984030d82259a11f4367a4eed129e94a7b")
FP16_VAE = ("madebyollin/sdxl-vae-fp16-fix", "207b116dae70ace3637169f1ddd2434b91b3a8cd")

_TIMEOUT_S = 5.0
_WAYS_OUT = (
    "pass --perf-checkpoint sdxl-random (full size, nothing downloaded) "
    "or --perf-checkpoint with a local folder"
)


@dataclass(frozen=True)
class HubSource:
    """SDXL base 1.0 at a pinned revision.

    Attributes:
        fp16_vae: replace the VAE by the one that does not overflow in fp16.
    """

    fp16_vae: bool = False

    def check(self) -> None:
        """See that the weights are in the local cache or that the hub answers.

        Raises:
            HubUnreachable: neither.
            CheckpointError: the hub answers, but does not serve this revision.
        """
        for repository, revision in self._repositories():
            _check_repository(repository, revision)

    def identity(self) -> str:
        """Repositories with their revisions."""
        return " ".join(f"{name}@{revision[:12]}" for name, revision in self._repositories())

    def load(self, dtype: torch.dtype, torch_device: str) -> StableDiffusionXLPipeline:
        """Load with diffusers, from the local cache where it holds the revision."""
        from diffusers import StableDiffusionXLPipeline

        repository, revision = SDXL
        replaced = {"vae": _load_vae(dtype)} if self.fp16_vae else {}
        with quiet_loading():
            pipeline = StableDiffusionXLPipeline.from_pretrained(
                repository,
                revision=revision,
                dtype=dtype,
                variant="fp16" if dtype == torch.float16 else None,
                use_safetensors=True,
                add_watermarker=False,
                **replaced,
            )
        return pipeline.to(torch_device)

    def _repositories(self) -> tuple[tuple[str, str], ...]:
        return (SDXL, FP16_VAE) if self.fp16_vae else (SDXL,)


def _load_vae(dtype: torch.dtype) -> AutoencoderKL:
    from diffusers import AutoencoderKL

    repository, revision = FP16_VAE
    return AutoencoderKL.from_pretrained(
        repository, revision=revision, dtype=dtype, use_safetensors=True
    )


def _check_repository(repository: str, revision: str) -> None:
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    for name in ("model_index.json", "config.json"):
        if isinstance(try_to_load_from_cache(repository, name, revision=revision), str):
            return
    try:
        HfApi().model_info(repository, revision=revision, timeout=_TIMEOUT_S)
    except HfHubHTTPError as error:
        head = str(error).splitlines()[0]
        raise CheckpointError(
            f"the hub does not serve {repository}@{revision[:12]} ({head})", hint=_WAYS_OUT
        ) from None
    # The hub's client has changed its HTTP library twice; each has connection errors of its own.
    except Exception as error:
        raise HubUnreachable(
            f"the hub cannot be reached for {repository} ({type(error).__name__}: {error})",
            hint=_WAYS_OUT,
        ) from None
