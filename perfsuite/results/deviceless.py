"""What CUDA code of a tier consists of, found out without a GPU: plain values, without noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from perfsuite.errors import BaselineError
from perfsuite.results.method import Finding
from perfsuite.results.structure import OperatorCounts, by_name, total
from perfsuite.storage import read_json, write_json
from perfsuite.workload import Workload

SCHEMA = 1
DEPTH = 5
"""Names of the module paths that counts are kept by: `unet.up_blocks.0.attentions.1`."""
OVERHEAD_BYTES = 1 << 30
"""Assumed beside tensors: CUDA's context, libraries' workspaces, what the allocator cannot use."""
CARDS_GIB = (16, 24, 40, 80)


@dataclass(frozen=True)
class PartMemory:
    """Memory of one module of the pipeline.

    Attributes:
        part: its name.
        weight_bytes: of its parameters and buffers.
        peak_activation_bytes: the most that results kept alive while it was at work.
    """

    part: str
    weight_bytes: int
    peak_activation_bytes: int


@dataclass(frozen=True)
class MemoryPlan:
    """What a tier needs of a GPU's memory while nothing is offloaded, as eager code.

    Attributes:
        parts: modules of the pipeline.
    """

    parts: tuple[PartMemory, ...]

    @property
    def weight_bytes(self) -> int:
        """Of all parts: they stay on the device."""
        return sum(each.weight_bytes for each in self.parts)

    @property
    def peak_bytes(self) -> int:
        """All weights, and the activations of the part that needs most."""
        return self.weight_bytes + max(
            (each.peak_activation_bytes for each in self.parts), default=0
        )

    @property
    def largest(self) -> str:
        """The part whose activations need most."""
        return max(self.parts, key=lambda each: each.peak_activation_bytes).part

    def fits(self, card_bytes: int, overhead_bytes: int = OVERHEAD_BYTES) -> bool:
        """Whether it fits a card of so many bytes.

        Args:
            card_bytes: the card's memory.
            overhead_bytes: what is assumed beside tensors.
        """
        return self.peak_bytes + overhead_bytes <= card_bytes

    def part(self, name: str) -> PartMemory | None:
        """One part's memory; None where there is no such part."""
        return next((each for each in self.parts if each.part == name), None)


@dataclass(frozen=True)
class KernelResources:
    """What Triton's assembler says of one kernel.

    Attributes:
        name: of the kernel, without its number.
        registers: of each thread.
        spilled_bytes: of each thread, on its stack and in local memory.
        shared_bytes: of each block.
        warps: of each block.
    """

    name: str
    registers: int
    spilled_bytes: int
    shared_bytes: int
    warps: int


@dataclass(frozen=True)
class CompiledPart:
    """What inductor makes of one module.

    Attributes:
        part: its name.
        graphs: compiled for it.
        triton: by module path, by kernel's name without number: launches of generated kernels.
        extern: by module path, by name: calls of kernels that are not generated (cuBLAS, cuDNN, …).
        resources: of every unique generated kernel, in the order of their names.
    """

    part: str
    graphs: int
    triton: dict[str, dict[str, int]] = field(default_factory=dict)
    extern: dict[str, dict[str, int]] = field(default_factory=dict)
    resources: tuple[KernelResources, ...] = ()

    @property
    def launches(self) -> int:
        """Launches of generated kernels."""
        return total(self.triton)

    @property
    def extern_calls(self) -> Counter[str]:
        """Calls of kernels that are not generated, by name."""
        return by_name(self.extern)


@dataclass(frozen=True)
class ArchKernels:
    """A tier's compiled code for one architecture.

    Attributes:
        arch: such as `sm_90`.
        triton: version of the kernels' compiler.
        parts: compiled modules.
        unsupported: what of this torch is not as the compilation needs it; None if all is.
    """

    arch: str
    triton: str
    parts: tuple[CompiledPart, ...] = ()
    unsupported: str | None = None

    def part(self, name: str) -> CompiledPart | None:
        """One part; None where there is no such part."""
        return next((each for each in self.parts if each.part == name), None)


@dataclass(frozen=True)
class TierStructure:
    """One tier.

    Attributes:
        tier: its name.
        denoiser: names the part that works at every step; empty if nothing was counted.
        operators: of one pipeline call with one denoising step.
        memory: of the same call.
        kernels: for each architecture that was asked for; empty if none was, or if the tier is not
            compiled.
        findings: what building it brought to light.
        unsupported: what of this torch is not as counting needs it; None if all is.
    """

    tier: str
    denoiser: str = ""
    operators: OperatorCounts = field(default_factory=OperatorCounts)
    memory: MemoryPlan = field(default_factory=lambda: MemoryPlan(()))
    kernels: tuple[ArchKernels, ...] = ()
    findings: tuple[Finding, ...] = ()
    unsupported: str | None = None

    def arch(self, name: str) -> ArchKernels | None:
        """The kernels for an architecture; None where there are none."""
        return next((each for each in self.kernels if each.arch == name), None)


@dataclass(frozen=True)
class StructureRecord:
    """Tiers of one checkpoint, counted with one set of libraries.

    Attributes:
        schema: version of this layout.
        checkpoint: whose architecture it is.
        architecture: digest of the components' configs.
        workload: what was asked, of which one step was made.
        packages: versions that the counts depend on.
        assumptions: what a GPU would have decided and was pinned instead.
        tiers: in the ladder's order.
    """

    schema: int
    checkpoint: str
    architecture: str
    workload: Workload
    packages: dict[str, str]
    assumptions: tuple[str, ...]
    tiers: tuple[TierStructure, ...]

    @property
    def unsupported(self) -> bool:
        """Whether any of it could not be counted with these versions."""
        return any(
            tier.unsupported or any(arch.unsupported for arch in tier.kernels)
            for tier in self.tiers
        )

    def tier(self, name: str) -> TierStructure | None:
        """One tier; None where it was not counted."""
        return next((each for each in self.tiers if each.tier == name), None)


def releases(packages: Mapping[str, str]) -> dict[str, str]:
    """Versions without their builds: `2.13.0+cpu` and `2.13.0` are one release."""
    return {name: version.partition("+")[0] for name, version in packages.items()}


def combined(before: StructureRecord, now: StructureRecord) -> StructureRecord:
    """A record with what was counted now in the place of what it holds of the same.

    Tiers and architectures that were not counted now stay as they are if they were counted with the
    same releases; else only what was counted now is kept.
    """
    if releases(before.packages) != releases(now.packages):
        return now
    tiers = {each.tier: each for each in before.tiers}
    for tier in now.tiers:
        known = tiers.get(tier.tier, tier)
        archs = {each.arch: each for each in (*known.kernels, *tier.kernels)}
        tiers[tier.tier] = replace(tier, kernels=tuple(archs[name] for name in sorted(archs)))
    return replace(now, tiers=tuple(tiers.values()))


def save_structure(path: Path, record: StructureRecord) -> None:
    """Write a record.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_json(path, record)


def load_structure(path: Path) -> StructureRecord:
    """Read and validate a record.

    Raises:
        BaselineError: it cannot be read.
    """
    hint = "name a file that perfsuite structure has written"
    return read_json(path, StructureRecord, schema=SCHEMA, error=BaselineError, hint=hint)
