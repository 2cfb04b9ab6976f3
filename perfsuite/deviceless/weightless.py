"""Building a tier of the ladder with fake weights on a GPU that is not there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from perfsuite.checkpoints import Checkpoint
from perfsuite.deviceless.patches.attention import pinned_attention
from perfsuite.deviceless.patches.cuda_slot import cuda_slot
from perfsuite.deviceless.patches.module_conversion import replacing_conversion
from perfsuite.deviceless.patches.scheduler import valueless
from perfsuite.errors import CheckpointError
from perfsuite.ladder import BuiltTier, Tier, build_tier
from perfsuite.ladder.build import weights_of
from perfsuite.libraries import quietly
from perfsuite.results.samples import PeakMemory
from perfsuite.workload import Workloads

if TYPE_CHECKING:
    from perfsuite.results.method import Configuration

CUDA = "cuda:0"
"""With its number: a build without CUDA cannot look the current device up."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class WeightlessSource:
    """A checkpoint's architecture with fake weights.

    Attributes:
        source: of the checkpoint; has `outline()`, a pipeline on the meta device.
    """

    source: Any

    def check(self) -> None:
        """See that the checkpoint can be had without its weights.

        Raises:
            CheckpointError: its source has no outline.
        """
        if not hasattr(self.source, "outline"):
            raise CheckpointError(
                f"{type(self.source).__name__} has no outline() without weights",
                hint="pass --checkpoint sdxl-random, pocket, or a folder",
            )

    def identity(self) -> str:
        """Fake weights are those of no checkpoint."""
        return "no weights"

    def configuration(self) -> Configuration:
        """That of the checkpoint."""
        return self.source.configuration()  # type: ignore[no-any-return]

    def load(self, dtype: torch.dtype, torch_device: str) -> Any:
        """The pipeline with fake weights of `dtype` on `torch_device`; needs a FakeTensorMode."""
        self.check()
        with unset_fake_temporarily():
            pipeline = self.source.outline()
            pipeline.scheduler = valueless(pipeline.scheduler)
        for module in pipeline.components.values():
            if isinstance(module, nn.Module):
                _give_fake_weights(module.eval(), dtype, torch_device)
        return pipeline


class AbsentGpu:
    """A CUDA device that nothing is launched on; see `perfsuite.device.Device`."""

    name = CUDA
    is_accelerator = True

    def timed(self, work: Callable[[], Result]) -> tuple[float, Result]:
        """Nothing is timed."""
        return 0.0, work()

    def record_graph(self, work: Callable[[], object]) -> Callable[[], object] | None:
        """There is nothing to record on."""
        return None

    def synchronize(self) -> None:
        """Nothing is launched."""

    def held_memory(self) -> int | None:
        """Nothing is allocated."""
        return None

    def free_memory(self) -> int | None:
        """There is no device."""
        return None

    def reset_peak_memory(self) -> None:
        """Nothing is allocated."""

    def peak_memory(self, held_bytes: int | None = None) -> PeakMemory:
        """Nothing is allocated."""
        return PeakMemory(None, "no device", "nothing runs")

    def release_memory(self) -> None:
        """Nothing is allocated."""


@contextlib.contextmanager
def built_without_weights(
    tier: Tier, checkpoint: Checkpoint, workloads: Workloads | None = None
) -> Iterator[BuiltTier]:
    """A tier as the ladder builds it, with fake tensors, for as long as the block lasts.

    Args:
        tier: the tier.
        checkpoint: whose architecture it has.
        workloads: what it will be asked to do; None for the checkpoint's own.

    Raises:
        HookMoved: a patch does not fit this torch.
        CheckpointError: the checkpoint cannot be had without weights.
    """
    own = weights_of(tier, checkpoint)
    fake = replace(own, source=WeightlessSource(own.source))
    row = replace(tier, checkpoint=None)
    with (
        cuda_slot(),
        pinned_attention(),
        replacing_conversion(),
        FakeTensorMode(allow_non_fake_inputs=True),
        torch.no_grad(),
        quietly(),
        build_tier(row, fake, AbsentGpu(), workloads=workloads or checkpoint.workloads()) as built,
    ):
        yield built


def make_one_step(built: BuiltTier) -> None:
    """Call the pipeline as for an image of one denoising step."""
    workload = replace(built.latency, steps=1)
    shot = next(iter(workload.shots()))
    built.family.call(built.pipeline, workload, shot, output_type="pt")


def _give_fake_weights(module: nn.Module, dtype: torch.dtype, torch_device: str) -> None:
    """Put fake tensors in the place of a module's own.

    Whether a weight requires a gradient is kept: torch computes a product in another way then.
    """

    def fake(tensor: torch.Tensor) -> torch.Tensor:
        wanted = dtype if tensor.is_floating_point() else tensor.dtype
        return torch.empty(tensor.shape, dtype=wanted, device=torch_device)

    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                part._parameters[name] = nn.Parameter(fake(weight), weight.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = fake(buffer)
