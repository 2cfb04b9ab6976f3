"""Structures for tests of judging, storing and rendering."""

from __future__ import annotations

from perfsuite.results.deviceless import (
    SCHEMA,
    ArchKernels,
    CompiledPart,
    KernelResources,
    MemoryPlan,
    PartMemory,
    StructureRecord,
    TierStructure,
)
from perfsuite.results.structure import OperatorCounts
from perfsuite.workload import Workload

ATTENTION = "unet.up_blocks.0.attentions.1"
WORKLOAD = Workload(("a prompt",), (0,), 30, 5.0, 1024, 1024)
VERSIONS = {"torch": "2.13.0+cpu", "diffusers": "0.42.1"}


def kernels(
    arch: str = "sm_90", *, launches: int = 3, registers: int = 40, triton: str = "3.8.0"
) -> ArchKernels:
    part = CompiledPart(
        "unet",
        1,
        {ATTENTION: {"triton_poi_fused_add": launches}},
        {ATTENTION: {"extern_kernels.mm": 2}},
        (KernelResources("triton_poi_fused_add", registers, 0, 1024, 4),),
    )
    return ArchKernels(arch, triton, (part,))


def tier(
    name: str = "sdpa", *, products: int = 4, archs: tuple[ArchKernels, ...] = ()
) -> TierStructure:
    return TierStructure(
        name,
        denoiser="unet",
        operators=OperatorCounts(
            {ATTENTION: {"aten.mm": products, "aten._scaled_dot_product_flash_attention": 1}},
            {ATTENTION: 10**12 * products},
        ),
        memory=MemoryPlan(
            (PartMemory("unet", 5 << 30, 1 << 30), PartMemory("vae", 1 << 30, 2 << 30))
        ),
        kernels=archs,
    )


def record(*tiers: TierStructure, torch: str = VERSIONS["torch"]) -> StructureRecord:
    packages = VERSIONS | {"torch": torch}
    return StructureRecord(
        SCHEMA, "sdxl-random", "0123456789ab", WORKLOAD, packages, ("assumed",), tiers or (tier(),)
    )
