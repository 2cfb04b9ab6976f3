"""Faults planted in real pipelines and compiled functions are each named with their module."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import nn

from perfsuite.checkpoints import find_checkpoint
from perfsuite.counters.compilation import CompileLog, graph_of
from perfsuite.device import CpuDevice
from perfsuite.judge.structure import RecordedCounts, faults, judge_structure
from perfsuite.ladder import BuiltTier, build_tier, changes, find_tiers
from perfsuite.ladder.builder import Builder
from perfsuite.libraries import quietly
from perfsuite.measure.counters import count_tier
from perfsuite.report.messages import say_all
from perfsuite.results.counters import Compilation, TierCounters
from perfsuite.results.verdict import Outcome
from perfsuite.selftest.patches import hooked, replaced
from perfsuite.workload import Workload, Workloads

SMALL = Workload(("A fox in the snow",), (0,), 2, 5.0, 32, 32)
BLOCK = "unet.mid_block.attentions.0.transformer_blocks.0"
Fault = Callable[[BuiltTier], contextlib.AbstractContextManager[object]]


def build(name: str, *, exact_only: bool = True) -> BuiltTier:
    (tier,) = find_tiers([name])
    work = Workloads(SMALL, SMALL)
    checkpoint = find_checkpoint("pocket")
    with quietly():
        return build_tier(tier, checkpoint, CpuDevice(), exact_only=exact_only, workloads=work)


@pytest.fixture(scope="module")
def sdpa() -> Iterator[BuiltTier]:
    """Pocket in float32 with SDPA."""
    with build("sdpa") as built:
        yield built


@pytest.fixture(scope="module")
def healthy(sdpa: BuiltTier) -> TierCounters:
    return count_tier(sdpa)


def layer(built: BuiltTier, path: str) -> Any:
    root, _, rest = path.partition(".")
    return built.family.components(built.pipeline)[root].get_submodule(rest)


@contextlib.contextmanager
def plain_attention(built: BuiltTier) -> Iterator[None]:
    attention = layer(built, f"{BLOCK}.attn1")
    attention.set_processor(AttnProcessor())
    yield
    attention.set_processor(AttnProcessor2_0())


def item_in_the_loop(built: BuiltTier) -> contextlib.AbstractContextManager[object]:
    step = built.pipeline.scheduler.step

    def step_and_look(output: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        output.abs().max().item()
        return step(output, *args, **kwargs)

    return replaced(built.pipeline.scheduler, "step", step_and_look)


def decoding_twice(built: BuiltTier) -> contextlib.AbstractContextManager[object]:
    decode = built.pipeline.vae.decode

    def twice(*args: Any, **kwargs: Any) -> Any:
        decode(*args, **kwargs)
        return decode(*args, **kwargs)

    return replaced(built.pipeline.vae, "decode", twice)


def encoding_per_step(built: BuiltTier) -> contextlib.AbstractContextManager[object]:
    pipeline, forward = built.pipeline, built.pipeline.unet.forward
    tokens = torch.zeros(1, 77, dtype=torch.long)

    def encode_first(*args: Any, **kwargs: Any) -> Any:
        pipeline.text_encoder(tokens)
        return forward(*args, **kwargs)

    return replaced(pipeline.unet, "forward", encode_first)


def autocast(built: BuiltTier) -> contextlib.AbstractContextManager[object]:
    forward = built.pipeline.text_encoder_2.forward

    def cast(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return forward(*args, **kwargs)

    return replaced(built.pipeline.text_encoder_2, "forward", cast)


def duplicated_operator(built: BuiltTier) -> contextlib.AbstractContextManager[object]:
    convolution = layer(built, "unet.conv_in")
    forward = convolution.forward
    return replaced(convolution, "forward", lambda x: forward(x) + 0)


@contextlib.contextmanager
def layer_in_half(built: BuiltTier) -> Iterator[None]:
    linear = layer(built, f"{BLOCK}.attn1.to_q")
    linear.to(torch.bfloat16)
    cast = linear.register_forward_pre_hook(lambda _, args: args[0].bfloat16())
    with hooked(linear, lambda out: out.float()):
        yield
    cast.remove()
    linear.to(torch.float32)


def without_onednn(built: BuiltTier) -> contextlib.AbstractContextManager[object]:
    convolution = layer(built, "vae.decoder.conv_out")
    forward = convolution.forward

    def fallen(x: torch.Tensor) -> torch.Tensor:
        with torch.backends.mkldnn.flags(enabled=False):
            out: torch.Tensor = forward(x)
        return out

    return replaced(convolution, "forward", fallen)


PLANTED: dict[str, tuple[Fault, tuple[str, ...]]] = {
    "SDPA replaced in one block": (
        plain_attention,
        (f"no scaled_dot_product_attention in 1 module: {BLOCK}.attn1", f"all in {BLOCK}.attn1"),
    ),
    "an item() in the loop": (
        item_in_the_loop,
        (
            "2 more host synchronisations",
            f"+2 Tensor.item in {__name__}.step_and_look in scheduler",
        ),
    ),
    "VAE run twice": (decoding_twice, ("more operators", "all in vae")),
    "text encoder run per step": (encoding_per_step, ("more operators", "all in text_encoder")),
    "autocast left on": (
        autocast,
        ("products that are not in float32: bfloat16 in text_encoder_2.text_model.encoder",),
    ),
    "a layer left in another precision": (
        layer_in_half,
        (
            f"products that are not in float32: bfloat16 in {BLOCK}.attn1.to_q",
            f"{BLOCK}.attn1.to_q is Linear bfloat16",
        ),
    ),
    "a duplicated operator": (
        duplicated_operator,
        ("2 more operators", "+2 aten.add in unet.conv_in"),
    ),
    "a convolution on the reference path": (
        without_onednn,
        ("CPU implementations", "Slow2d in vae.decoder.conv_out"),
    ),
}


LONG = ("text encoder run per step", "autocast left on", "a layer left in another precision")
"""Left out of a plain run, for its length; each is counted as the others are."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=[pytest.mark.slow] if each in LONG else []) for each in PLANTED],
)
def test_a_planted_fault_is_named_with_its_module(
    name: str, sdpa: BuiltTier, healthy: TierCounters
) -> None:
    plant, said = PLANTED[name]
    with plant(sdpa), quietly():
        counted = count_tier(sdpa)
    verdict = judge_structure("sdpa", counted, RecordedCounts(healthy))
    assert verdict.outcome is Outcome.REGRESSED
    for words in said:
        assert words in say_all(verdict.reasons)


def test_counts_are_equal_again_when_the_faults_are_gone(
    sdpa: BuiltTier, healthy: TierCounters
) -> None:
    verdict = judge_structure("sdpa", count_tier(sdpa), RecordedCounts(healthy))
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASSED, ())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_counts_are_equal_in_twenty_of_twenty_repeats(
    sdpa: BuiltTier, healthy: TierCounters
) -> None:
    assert all(count_tier(sdpa).tallies() == healthy.tallies() for _ in range(20))


@pytest.mark.slow
def test_one_projection_that_is_not_fused_is_named() -> None:
    with build("sdpa") as built:
        built.pipeline.fuse_qkv_projections()
        fused = RecordedCounts(count_tier(built))
        attention = layer(built, f"{BLOCK}.attn1")
        attention.fused_projections = False
        attention.set_processor(AttnProcessor2_0())
        verdict = judge_structure("fused-qkv", count_tier(built), fused)
    assert verdict.outcome is Outcome.REGRESSED
    said = say_all(verdict.reasons)
    assert f"all in {BLOCK}.attn1" in said
    assert f"in {BLOCK}.attn1.to_q" in said


@pytest.mark.slow
def test_channels_last_that_is_lost_in_one_layer_is_named(sdpa: BuiltTier) -> None:
    unet = sdpa.pipeline.unet
    unet.to(memory_format=torch.channels_last)
    before = RecordedCounts(count_tier(sdpa))
    weight = unet.mid_block.resnets[0].conv1.weight
    weight.data = weight.data.contiguous()
    verdict = judge_structure("compile", count_tier(sdpa), before)
    unet.to(memory_format=torch.contiguous_format)
    assert verdict.outcome is Outcome.REGRESSED
    said = say_all(verdict.reasons)
    assert "unet.mid_block.resnets.0.conv1 was Conv2d float32 channels_last" in said


@pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_filter_that_matches_nothing_or_everything_is_named(
    everything: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    excluded = frozenset({(64, 64)})
    monkeypatch.setattr(changes, "INT8_EXCLUDED_SHAPES", excluded)
    with build("sdpa") as built:
        monkeypatch.setattr(
            changes,
            "gains_from_int8",
            lambda module, name="": everything and isinstance(module, nn.Linear),
        )
        builder = Builder("cpu", is_accelerator=False, _pipeline=built.pipeline)
        with quietly():
            changes.dynamic_int8.apply(builder)
            row = dataclasses.replace(built.tier, changes=(changes.dynamic_int8,))
            counted = count_tier(dataclasses.replace(built, tier=row))
    said = say_all(faults(counted))
    if everything:
        assert "quantised that the filter leaves out: vae.encoder.mid_block.attentions.0." in said
    else:
        assert "that are to be quantised are not: unet." in said


def compiled(function: Callable[..., Any], *calls: torch.Tensor) -> Compilation:
    torch.compiler.reset()
    log = CompileLog()
    with log.listening(), torch.no_grad():
        fast = torch.compile(function, backend="eager", dynamic=False)
        for argument in calls:
            fast(argument)
        found = log.read(lambda file, name: "unet" if name == function.__name__ else None)
    torch.compiler.reset()
    return found


def test_a_graph_break_is_named_with_its_place_and_reason(healthy: TierCounters) -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        y = x + 1
        torch._dynamo.graph_break()
        return y * 2

    found = compiled(forward, torch.ones(2))
    said = say_all(faults(dataclasses.replace(healthy, compilation=found)))
    assert said.startswith("1 graph break: ")
    assert "test_structure_faults.py:" in said
    assert " in forward)" in said


def test_a_recompile_on_every_call_is_named_with_its_guard(healthy: TierCounters) -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x + 1

    found = compiled(forward, *(torch.ones(size) for size in (2, 3, 4)))
    said = say_all(faults(dataclasses.replace(healthy, compilation=found)))
    assert said.startswith("compiled again 2 times: unet, since ")
    assert "size mismatch" in said


def test_a_healthy_function_compiles_once() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x + 1

    found = compiled(forward, *(torch.ones(2) for _ in range(3)))
    assert (found.breaks, found.recompiles) == ((), ())


GENERATED = '''
import torch
from torch._inductor.async_compile import AsyncCompile
aten = torch.ops.aten
async_compile = AsyncCompile()
cpp_fused_add_0 = async_compile.cpp_pybinding(["float*"], """int x;""")
triton_poi_fused_silu_1 = async_compile.triton("triton_poi_fused_silu_1", """""")
class Runner:
    def call(self, args):
        arg0, = args
        args.clear()
        assert_size_stride(arg0, (2,), (1,))
        buf0 = empty_strided_cpu((2,), (1,), torch.float32)
        cpp_fused_add_0(arg0, buf0)
        triton_poi_fused_silu_1.run(buf0, 2, stream=stream0)
        triton_poi_fused_silu_1.run(buf0, 2, stream=stream0)
        extern_kernels.mm(buf0, arg0, out=buf0)
        buf1 = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default(buf0, buf0, buf0)
        return (buf1,)
def benchmark_compiled_module():
    cpp_fused_add_0(1, 2)
'''


def test_launches_are_read_from_generated_code() -> None:
    graph = graph_of("unet", GENERATED)
    assert graph.fused == {"cpp_fused_add": 1, "triton_poi_fused_silu": 2}
    assert graph.extern == {
        "extern_kernels.mm": 1,
        "aten._scaled_dot_product_flash_attention_for_cpu.default": 1,
    }
    assert graph.kernels == 5
