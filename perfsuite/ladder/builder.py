"""What a tier's changes work on: a pipeline in the making."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from perfsuite.device import Device
from perfsuite.errors import LadderError
from perfsuite.pipelines import Pipeline, PipelineFamily, family_of
from perfsuite.results.method import Finding
from perfsuite.results.support_reasons import Obstacle
from perfsuite.workload import Workload

Need = Callable[[Device], Obstacle | None]
"""What a change needs: why a device, or what is installed, cannot do it; None if it can."""


class Phase(enum.IntEnum):
    """When a change is made; within a phase the order is that of the ladder."""

    LOAD = 0
    """Before weights are loaded: only `Builder.dtype` can be set."""
    MODULES = 1
    """On the loaded modules: processors, layers, fusion, quantisation."""
    COMPILE = 2
    """Last of all, when the modules have their final form."""


@dataclass
class Builder:
    """A pipeline in the making.

    Attributes:
        torch_device: where the pipeline will run, as torch spells it.
        is_accelerator: whether that is an accelerator.
        autotunes: whether compiling may search for the fastest kernels.
        dtype: dtype that the weights are loaded in.
        findings: what the changes found out on the way.
        workload: that the pipeline will be asked for; None where nobody has said.
    """

    torch_device: str
    is_accelerator: bool
    autotunes: bool = True
    dtype: torch.dtype = torch.float32
    findings: list[Finding] = field(default_factory=list)
    workload: Workload | None = None
    _pipeline: Pipeline | None = None
    _undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def pipeline(self) -> Pipeline:
        """The loaded pipeline.

        Raises:
            LadderError: asked for in the LOAD phase.
        """
        if self._pipeline is None:
            raise LadderError(
                "a change asks for the pipeline before weights are loaded",
                hint="give it phase=Phase.MODULES",
            )
        return self._pipeline

    @property
    def family(self) -> PipelineFamily:
        """The family of the loaded pipeline."""
        return family_of(self.pipeline)

    @property
    def modules(self) -> tuple[Any, ...]:
        """What optimisations act on: denoiser and decoder."""
        return tuple(self.family.modules(self.pipeline).values())

    def set_for_this_tier(self, setting: contextlib.AbstractContextManager[object]) -> None:
        """Enter `setting` now, and leave it when the tier is freed."""
        self._undo.enter_context(setting)

    def find(self, subject: str, message: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(subject, message))


@dataclass(frozen=True)
class Change:
    """One optimisation step on a builder.

    Attributes:
        apply: does it.
        phase: when it is done.
        exact: whether only rounding may differ after it. Precision changes are not exact.
        about: one line, from the function's docstring.
        needs: what it needs of device and libraries; where one is not met, a tier with this change
            is not supported.
        parameters: as its name tells them, such as `interval=3`.
    """

    apply: Callable[[Builder], None]
    phase: Phase
    exact: bool
    about: str
    needs: tuple[Need, ...] = ()
    parameters: str = ""

    @property
    def name(self) -> str:
        """The function's name, with its parameters if it has some."""
        name: str = getattr(self.apply, "__name__", repr(self.apply))
        return f"{name}({self.parameters})" if self.parameters else name


def change(
    *,
    phase: Phase = Phase.MODULES,
    exact: bool,
    needs: tuple[Need, ...] = (),
    parameters: str = "",
) -> Callable[[Callable[[Builder], None]], Change]:
    """Make a function of a builder a `Change`; the first line of its docstring tells people of it.

    Args:
        phase: when it is done.
        exact: whether only rounding may differ after it.
        needs: what it needs of device and libraries.
        parameters: that tell it from the same change with others, such as `interval=3`.
    """

    def wrap(apply: Callable[[Builder], None]) -> Change:
        about = (apply.__doc__ or apply.__name__).strip().splitlines()[0]
        return Change(apply, phase, exact, about, needs, parameters)

    return wrap
