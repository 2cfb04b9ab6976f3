"""Every patch takes itself back, and names the hook that a new torch has moved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from perfsuite.deviceless.cards import CARDS
from perfsuite.deviceless.patches import cuda_slot as slot
from perfsuite.deviceless.patches.attention import pinned_attention
from perfsuite.deviceless.patches.constant_folding import folding_on_cpu
from perfsuite.deviceless.patches.cuda_slot import cuda_slot
from perfsuite.deviceless.patches.gpu_answers import gpu_answers
from perfsuite.deviceless.patches.hooks import find, replaced
from perfsuite.deviceless.patches.inductor_call import compiled_aside
from perfsuite.deviceless.patches.int8_product import plain_int8_product
from perfsuite.deviceless.patches.kernel_launch import assembled_only
from perfsuite.deviceless.patches.module_conversion import replacing_conversion
from perfsuite.deviceless.patches.remembered import nothing_remembered
from perfsuite.errors import HookMoved

CPU_BUILD = pytest.mark.skipif(
    torch.version.cuda is not None, reason="this torch is built with CUDA"
)
Patch = Callable[[], contextlib.AbstractContextManager[None]]
PATCHES: dict[str, Patch] = {
    "torchao.kernel.intmm.safe_int_mm": plain_int8_product,
    "torch.nn.Module._apply": replacing_conversion,
    "torch.cuda.is_available": lambda: gpu_answers(CARDS["sm_90"]),
    "torch._dynamo.device_interface.CudaInterface.get_raw_stream": lambda: gpu_answers(
        CARDS["sm_80"]
    ),
    "torch._subclasses.fake_tensor.FakeTensorMode.avoid_device_init": lambda: gpu_answers(
        CARDS["sm_80"]
    ),
    "torch._inductor.fx_passes.joint_graph.UniformValueConstantFolder._deduce_value": (
        folding_on_cpu
    ),
    "torch._inductor.runtime.triton_heuristics.CachingAutotuner.precompile": (
        lambda: assembled_only(lambda name, kernel: None)
    ),
    "torch._TorchCompileInductorWrapper.__call__": lambda: compiled_aside(lambda graph, code: None),
    "torch.utils._triton.has_triton": nothing_remembered,
}
ONLY_LOOKED_UP = {"torch.utils._triton.has_triton"}


@pytest.mark.parametrize("hook", PATCHES)
def test_a_patch_puts_something_in_the_place_of_its_hook_and_takes_it_back(hook: str) -> None:
    before = find(hook)
    with PATCHES[hook]():
        assert (find(hook) is before) == (hook in ONLY_LOOKED_UP)
    assert find(hook) is before


@pytest.mark.parametrize("hook", PATCHES)
def test_a_hook_that_has_moved_is_named(hook: str) -> None:
    owner, _, name = hook.rpartition(".")
    holder = find(owner) if "." in owner else torch
    before = vars(holder)[name]
    delattr(holder, name)
    try:
        with pytest.raises(HookMoved) as raised, PATCHES[hook]():
            pass
    finally:
        setattr(holder, name, before)
    assert raised.value.name == hook


@pytest.mark.parametrize("path", ["torch.nowhere.at_all", "no_such_library.at", "torch.nn.Nothing"])
def test_nothing_stands_at_a_path(path: str) -> None:
    with pytest.raises(HookMoved, match="is not there"), replaced(path, None):
        pass


def test_a_replaced_name_is_put_back_after_an_error() -> None:
    before = torch.nn.Module._apply
    with pytest.raises(ZeroDivisionError), replacing_conversion():
        raise ZeroDivisionError
    assert torch.nn.Module._apply is before


def test_fake_tensors_are_indexed_on_cuda_in_any_build() -> None:
    with cuda_slot(), FakeTensorMode():
        made = torch.ones(4, device="cuda:0")[None].to("cuda:0")
    assert made.device.type == "cuda"


@CPU_BUILD
def test_a_cpu_build_is_as_it_was_afterwards() -> None:
    with cuda_slot():
        pass
    with FakeTensorMode(), pytest.raises(RuntimeError, match="not linked with support for cuda"):
        torch.ones(4, device="cuda:0")[None]


@CPU_BUILD
def test_a_build_that_keeps_its_guards_elsewhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "_REGISTRY", "_ZN3c104impl7nowhereE")
    with pytest.raises(HookMoved, match="device_guard_impl_registry"), cuda_slot():
        pass


@pytest.mark.parametrize(
    ("dtype", "head", "masked", "kernel"),
    [
        (torch.bfloat16, 64, False, "_scaled_dot_product_flash_attention"),
        (torch.bfloat16, 512, False, "_scaled_dot_product_efficient_attention"),
        (torch.float32, 64, False, "_scaled_dot_product_efficient_attention"),
        (torch.bfloat16, 64, True, "_scaled_dot_product_efficient_attention"),
    ],
)
def test_attention_takes_the_kernel_that_is_assumed(
    dtype: torch.dtype, head: int, masked: bool, kernel: str
) -> None:
    from perfsuite.counters.operators import OperatorCounter

    with cuda_slot(), pinned_attention(), FakeTensorMode(), torch.no_grad():
        query = torch.empty(1, 2, 8, head, dtype=dtype, device="cuda:0")
        mask = torch.empty(8, 8, dtype=torch.bool, device="cuda:0") if masked else None
        with OperatorCounter({}) as counter:
            out = nn.functional.scaled_dot_product_attention(query, query, query, attn_mask=mask)
    assert out.shape == query.shape
    assert counter.take().histogram[f"aten.{kernel}"] == 1


def test_attention_on_a_cpu_is_left_alone() -> None:
    query = torch.randn(1, 1, 4, 8)
    plain = nn.functional.scaled_dot_product_attention(query, query, query)
    with pinned_attention():
        pinned = nn.functional.scaled_dot_product_attention(query, query, query)
    assert torch.equal(plain, pinned)
