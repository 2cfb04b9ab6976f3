"""The optimisations themselves, one short function each.

Facts on what the tutorial really ran (Hugging Face, 'Accelerate inference of text-to-image
diffusion models'): its options, layer filter and shapes are those of its companion repository,
diffusion-fast.
"""

from __future__ import annotations

import contextlib
import inspect
import platform
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from perfsuite.device import Device
from perfsuite.ladder.builder import Builder, Phase, change
from perfsuite.ladder.few_rows import layers_of_few_rows, needs_rows
from perfsuite.results.support_reasons import NeedsHardware, Obstacle

# Linear layers of these (in, out) features lose more by int8 than they gain.
INT8_EXCLUDED_SHAPES = frozenset(
    {
        (1280, 640),
        (1920, 1280),
        (1920, 640),
        (2048, 1280),
        (2048, 2560),
        (2560, 1280),
        (256, 128),
        (2816, 1280),
        (320, 640),
        (512, 1536),
        (512, 256),
        (512, 512),
        (640, 1280),
        (640, 1920),
        (640, 320),
        (640, 5120),
        (640, 640),
        (960, 320),
        (960, 640),
    }
)
COMPILE_FLAGS = {
    "conv_1x1_as_mm": True,
    "coordinate_descent_tuning": True,
    "coordinate_descent_check_all_directions": True,
    "epilogue_fusion": False,
}
INT8_FLAGS = {"force_fuse_int_mm_with_mul": True, "use_mixed_mm": True}


@change(exact=True)
def full_float32(builder: Builder) -> None:
    """Matrix products and convolutions in full float32: TF32 is off, and said to be off."""
    builder.set_for_this_tier(_float32("highest", allow_tf32=False))


def _has_tf32(device: Device) -> Obstacle | None:
    """Obstacle of a device that has no TF32: NVIDIA's tensor cores do, from Ampere on."""
    if device.name == "cuda" and torch.version.hip is None:
        properties = torch.cuda.get_device_properties(0)
        if properties.major >= 8:
            return None
    return NeedsHardware("an NVIDIA GPU of compute capability 8.0 or higher, for TF32")


@change(exact=False, needs=(_has_tf32,))
def tensor_float32(builder: Builder) -> None:
    """Matrix products and convolutions in TF32: float32's range, ten bits of its fraction."""
    builder.set_for_this_tier(_float32("high", allow_tf32=True))


@change(exact=True)
def plain_attention(builder: Builder) -> None:
    """set_default_attn_processor() of denoiser and decoder: attention without SDPA."""
    builder.family.set_attention(builder.pipeline, fused=False)


@change(phase=Phase.LOAD, exact=False)
def bfloat16(builder: Builder) -> None:
    """Load all weights as torch.bfloat16."""
    builder.dtype = torch.bfloat16
    if not builder.is_accelerator and lacks_bfloat16(
        platform.machine(), torch.backends.cpu.get_cpu_capability()
    ):
        builder.find(
            "bfloat16",
            "this CPU has no AVX-512: oneDNN computes bfloat16 convolutions with its reference "
            "implementation, many times slower than float32",
        )


@change(exact=True)
def fused_attention(builder: Builder) -> None:
    """AttnProcessor2_0 of diffusers, which calls scaled_dot_product_attention."""
    builder.family.set_attention(builder.pipeline, fused=True)


@change(exact=True)
def fuse_qkv(builder: Builder) -> None:
    """pipeline.fuse_qkv_projections(); the unfused weights stay in memory."""
    builder.family.fuse_projections(builder.pipeline)


@change(exact=True)
def pointwise_convs_to_linear(builder: Builder) -> None:
    """1x1 convolutions with 128 channels in or out become Linear, so that they can be quantised."""
    from torchao.quantization import swap_conv2d_1x1_to_linear

    for module in builder.modules:
        swap_conv2d_1x1_to_linear(module, _is_pointwise_conv_with_128_channels)


@change(exact=False)
def dynamic_int8(builder: Builder) -> None:
    """Dynamic int8 activations, int8 weights (torchao) in Linear layers that pass the filter."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    if not any(gains_from_int8(layer) for module in builder.modules for layer in module.modules()):
        builder.find(
            "int8", "no Linear layer of this checkpoint passes the filter of the int8 tier"
        )
    left_out: frozenset[str] = frozenset()
    if needs_rows(builder.torch_device) and builder.workload is not None:
        left_out = layers_of_few_rows(builder.pipeline, builder.workload, gains_from_int8)
    if left_out:
        builder.find(
            "int8",
            f"{len(left_out)} layers see at most 16 rows, too few for the int8 product of a GPU "
            "with fewer than 68 multiprocessors, and stay as they are: "
            f"{', '.join(sorted(left_out))}",
        )
    for part, module in builder.family.modules(builder.pipeline).items():
        names = frozenset(name.removeprefix(f"{part}.") for name in left_out)
        quantize_(
            module,
            Int8DynamicActivationInt8WeightConfig(),
            filter_fn=lambda layer, name, names=names: name not in names and gains_from_int8(layer),
        )


@change(phase=Phase.COMPILE, exact=True)
def channels_last(builder: Builder) -> None:
    """Denoiser and decoder in channels_last memory format."""
    for module in builder.modules:
        module.to(memory_format=torch.channels_last)


@change(phase=Phase.COMPILE, exact=True)
def inductor_flags(builder: Builder) -> None:
    """1x1 convolutions as matrix products, coordinate-descent tuning, no epilogue fusion."""
    _set_inductor_flags(builder, COMPILE_FLAGS)


@change(phase=Phase.COMPILE, exact=True)
def inductor_int8_flags(builder: Builder) -> None:
    """Fuse the int8 product with its scale; mixed matrix products."""
    _set_inductor_flags(builder, INT8_FLAGS)


@change(phase=Phase.COMPILE, exact=True)
def compile_denoiser_and_decoder(builder: Builder) -> None:
    """torch.compile(fullgraph=True): max-autotune on an accelerator, the default mode on a CPU.

    On a CPU max-autotune takes minutes for what the default mode does in one, at the same speed.
    """
    searches = builder.is_accelerator and builder.autotunes
    mode = "max-autotune" if searches else "default"
    builder.family.compile(builder.pipeline, mode)


def lacks_bfloat16(machine: str, capability: str) -> bool:
    """Whether oneDNN has nothing but its reference implementation for bfloat16 on a CPU.

    Args:
        machine: as `platform.machine` names it.
        capability: of its vectors, as `torch.backends.cpu.get_cpu_capability` names it.
    """
    return machine in ("x86_64", "AMD64", "i686") and capability in ("DEFAULT", "AVX2")


def gains_from_int8(module: nn.Module, name: str = "") -> bool:
    """Whether a layer is a Linear that the published filter lets through."""
    return isinstance(module, nn.Linear) and why_not_int8(module) is None


def why_not_int8(layer: nn.Linear) -> str | None:
    """Why the published filter leaves a Linear layer as it is; None if it lets it through."""
    if layer.in_features <= 16:
        return "no more than 16 features in"
    shape = (layer.in_features, layer.out_features)
    return "loses more than it gains" if shape in INT8_EXCLUDED_SHAPES else None


def _is_pointwise_conv_with_128_channels(module: nn.Module, name: str = "") -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and 128 in (module.in_channels, module.out_channels)
    )


@contextlib.contextmanager
def _float32(precision: str, *, allow_tf32: bool) -> Iterator[None]:
    matmul = torch.get_float32_matmul_precision()
    convolution = torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = allow_tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolution


def _set_inductor_flags(builder: Builder, flags: Mapping[str, bool]) -> None:
    """Set the flags that this torch has until the tier is freed, and name those that it has not."""
    from torch._inductor import config

    known: dict[str, Any] = {}
    for name, value in flags.items():
        if not hasattr(config, name):
            builder.find(name, f"torch {torch.__version__} has no inductor flag {name}")
            continue
        known[name] = value
        if _is_ignored(config, name):
            builder.find(name, f"torch {torch.__version__} ignores the inductor flag {name}")
    if known:
        builder.set_for_this_tier(config.patch(known))


def _is_ignored(config: Any, name: str) -> bool:
    """Whether torch's own source says above a flag that it is deprecated or ignored.

    torch marks such flags in a comment only, so the comment is what can be read.
    """
    before = inspect.getsource(config).partition(f"\n{name}")[0]
    comment = re.search(r"((?:\n#[^\n]*)+)$", before)
    return comment is not None and bool(re.search(r"deprecated|ignored", comment[1], re.I))
