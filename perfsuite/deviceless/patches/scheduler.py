"""A scheduler without numbers: it steps, and neither computes nor reads a timestep.

Reason: schedulers compute with numpy and branch on values ('is sigma below s_tmax?'), which fake
tensors do not have. Their own operators are a dozen on one latent; they are left out of the counts,
and those of everything else stay as they are.
"""

from __future__ import annotations

from typing import Any

import torch


class _Valueless:
    """What stands before a scheduler's own methods."""

    init_noise_sigma = 1.0
    timesteps: torch.Tensor
    num_inference_steps: int

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Any = None,
        timesteps: Any = None,
        sigmas: Any = None,
        mu: float | None = None,
    ) -> None:
        given = timesteps if timesteps is not None else sigmas
        self.num_inference_steps = num_inference_steps or len(given)
        self.timesteps = torch.zeros(self.num_inference_steps, device=device)

    def set_begin_index(self, begin_index: int = 0) -> None:
        pass

    def scale_model_input(self, sample: torch.Tensor, timestep: Any = None) -> torch.Tensor:
        return sample

    def step(
        self,
        model_output: torch.Tensor,
        timestep: Any,
        sample: torch.Tensor,
        *,
        return_dict: bool = True,
    ) -> tuple[torch.Tensor]:
        return (sample,)


def valueless(scheduler: Any) -> Any:
    """A scheduler of the same class and config whose steps return the sample they are given."""
    own = type(scheduler)
    made: Any = type(own.__name__, (_Valueless, own), {})
    return made.from_config(scheduler.config)
