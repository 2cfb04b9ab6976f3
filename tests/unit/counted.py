"""Counts of a tier, filled in so that a test states only what it is about."""

from __future__ import annotations

from dataclasses import replace

from perfsuite.results.counters import (
    Compilation,
    CompiledGraph,
    LayerCensus,
    TierCounters,
    WeightBytes,
)
from perfsuite.results.structure import Calls, OperatorCounts

BLOCK = "unet.up_blocks.0.attentions.1"
IMAGE = OperatorCounts(
    calls={
        f"{BLOCK}.attn1": {"aten.scaled_dot_product_attention": 3},
        f"{BLOCK}.attn1.to_q": {"aten.mm": 3},
        "unet.conv_in": {"aten.convolution": 3},
        "vae.decoder.conv_in": {"aten.convolution": 1},
        "pipeline": {"aten.randn": 1},
    },
    flops={f"{BLOCK}.attn1.to_q": 300},
    syncs={"scheduler": {"Tensor.item in scheduling_euler.step": 6}},
    draws={"pipeline": {"aten.randn": 1}},
    products={f"{BLOCK}.attn1.to_q": {"bfloat16": 3}, "vae.decoder.conv_in": {"bfloat16": 1}},
    implementations={"unet.conv_in": {"onednn brgconv:avx512_core_bf16": 3}},
)
LAYERS = LayerCensus(
    {f"{BLOCK}.attn1.to_q": "Linear bfloat16", "unet.conv_in": "Conv2d bfloat16 channels_last"}
)
COMPILATION = Compilation(
    (
        CompiledGraph(
            "unet", {"cpp_fused_add": 5, "cpp_fused_silu": 2}, {"extern_kernels.mm": 4}, "a"
        ),
        CompiledGraph("vae", {"cpp_fused_native_group_norm_silu": 6}, {}, "b"),
    )
)


def counters(image: OperatorCounts = IMAGE, **changes: object) -> TierCounters:
    fields: dict[str, object] = {
        "compilation": COMPILATION,
        "fused_attention": True,
        "dtype": "bfloat16",
    }
    return TierCounters(
        3,
        image,
        OperatorCounts(),
        (WeightBytes("unet", "bfloat16", 1 << 20),),
        **{"layers": LAYERS, **fields, **changes},  # type: ignore[arg-type]
    )


def with_calls(calls: Calls) -> TierCounters:
    """The same with other calls of some modules."""
    known = {path: dict(names) for path, names in {**IMAGE.calls, **calls}.items()}
    return counters(replace(IMAGE, calls=known))
