"""Inductor's code is read for what it launches, and on behalf of which module."""

from __future__ import annotations

import pytest

from perfsuite.deviceless.cards import CARDS, find_cards
from perfsuite.deviceless.generated import read_code, without_number
from perfsuite.errors import SettingsError

CODE = '''
triton_poi_fused_add_0 = async_compile.triton('triton_poi_fused_add_0', """
    x.run(
""")

def call(args):
    arg0, = args
    with torch.cuda._DeviceGuard(0):
        # Topologically Sorted Source Nodes: [product], Original ATen: [aten.mm]
        extern_kernels.mm(arg0, arg0, out=buf0)
        # Topologically Sorted Source Nodes: [normed, activated], Original ATen: [aten.silu]
        triton_poi_fused_add_0.run(buf0, stream=stream0)
        # Topologically Sorted Source Nodes: [attended], Original ATen: [aten._flash]
        buf2 = torch.ops.aten._scaled_dot_product_flash_attention.default(buf0, buf0)
        # Topologically Sorted Source Nodes: [], Original ATen: []
        triton_poi_fused_add_1.run(buf2, stream=stream0)
    return (buf0, )
'''
MODULES = {
    "product": "unet.mid.to_q",
    "normed": "unet.mid.norm",
    "activated": "unet.mid.act",
    "attended": "unet.mid",
}


def test_launches_are_under_the_innermost_module_that_all_of_their_nodes_are_in() -> None:
    found = read_code(CODE, MODULES, "unet")
    assert found.triton == {
        "unet.mid": {"triton_poi_fused_add": 1},
        "unet": {"triton_poi_fused_add": 1},
    }
    assert found.extern == {
        "unet.mid.to_q": {"extern_kernels.mm": 1},
        "unet.mid": {"torch.ops.aten._scaled_dot_product_flash_attention.default": 1},
    }


def test_nothing_outside_the_call_is_a_launch() -> None:
    assert read_code(CODE.partition("def call(")[0], MODULES, "unet").triton == {}


def test_modules_with_nothing_in_common_are_the_part() -> None:
    modules = {"normed": "one.norm", "activated": "two.act"}
    assert "unet" in read_code(CODE, modules, "unet").triton


def test_a_kernel_is_known_without_its_number() -> None:
    assert without_number("triton_red_fused_native_group_norm_12") == (
        "triton_red_fused_native_group_norm"
    )
    assert without_number("triton_poi_fused_add") == "triton_poi_fused_add"


def test_architectures_are_those_of_the_table() -> None:
    assert find_cards("sm_90, sm_80,sm_90") == ("sm_90", "sm_80")
    for wrong in ("sm_1", "", "sm_90,a100"):
        with pytest.raises(SettingsError, match="--arch cannot be"):
            find_cards(wrong)
    for name, card in CARDS.items():
        assert name == f"sm_{card.major}{card.minor}"
