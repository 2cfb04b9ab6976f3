"""Reuse of a denoiser's features from step to step: DeepCache.

X. Ma, G. Fang, X. Wang, 'DeepCache: Accelerating Diffusion Models for Free', CVPR 2024, as the
authors' package `DeepCache` has it; docs/decisions/0008-deepcache.md says why that one.
"""

from __future__ import annotations

import importlib
from typing import Any

from perfsuite.errors import NotAvailable
from perfsuite.ladder.builder import Builder, Change, change
from perfsuite.ladder.needs import METHODS_EXTRA, installed


def deepcache(interval: int, branch: int = 0) -> Change:
    """The change that computes the whole denoiser at every `interval`-th step only.

    Args:
        interval: steps from one computation of the whole denoiser to the next.
        branch: skip connection at which the other steps turn back; 0 is the shallowest, which
            saves most.
    """

    @change(
        exact=True,
        needs=(installed("DeepCache", METHODS_EXTRA),),
        parameters=f"interval={interval}, branch={branch}",
    )
    def deepcache(builder: Builder) -> None:
        """Deep features of the denoiser are reused between steps (DeepCache)."""
        # Exact: it belongs to the fp32 build that the method's own references are made with. That
        # its pictures are not the checkpoint's is what the row's `as_good_as` says.
        if not hasattr(builder.family.denoiser(builder.pipeline), "up_blocks"):
            raise NotAvailable(builder.family.name, "a UNet, which DeepCache needs")
        helper = helper_of(builder.pipeline)
        helper.set_params(cache_interval=interval, cache_branch_id=branch)
        helper.enable()

    return deepcache


def helper_of(pipeline: Any) -> Any:
    """A new helper of the package for a pipeline."""
    return importlib.import_module("DeepCache").DeepCacheSDHelper(pipe=pipeline)
