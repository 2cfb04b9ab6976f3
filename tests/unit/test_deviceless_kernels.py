"""A compiled tier's kernels for a GPU by name, where torch comes with Triton."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
from torch import nn

from perfsuite.checkpoints import find_checkpoint
from perfsuite.deviceless.generated import LaunchedCode
from perfsuite.deviceless.kernels import Compilation, compile_tier, module_paths
from perfsuite.deviceless.patches import kernel_launch
from perfsuite.errors import HookMoved
from perfsuite.ladder import find_tiers
from perfsuite.results.deviceless import ArchKernels

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None or torch.version.cuda is None,
    reason="this torch comes without Triton",
)


@pytest.fixture(scope="module")
def pocket() -> dict[str, ArchKernels]:
    (tier,) = find_tiers(["compile"])
    checkpoint = find_checkpoint("pocket")
    return {arch: compile_tier(tier, checkpoint, arch) for arch in ("sm_80", "sm_90")}


@needs_triton
def test_unet_and_decoder_are_one_graph_each(pocket: dict[str, ArchKernels]) -> None:
    for kernels in pocket.values():
        assert kernels.unsupported is None
        assert {part.part: part.graphs for part in kernels.parts} == {"unet": 1, "vae": 1}


@needs_triton
def test_kernels_are_counted_with_their_modules_and_resources(
    pocket: dict[str, ArchKernels],
) -> None:
    unet = pocket["sm_90"].part("unet")
    assert unet is not None
    assert unet.launches >= len(unet.resources) > 50
    assert all(0 < each.registers <= 255 for each in unet.resources)
    assert all(each.shared_bytes <= 232448 for each in unet.resources)
    flash = "torch.ops.aten._scaled_dot_product_flash_attention.default"
    assert unet.extern_calls[flash] == 14
    attentions = [path for path, names in unet.extern.items() if flash in names]
    assert attentions
    assert all("attentions" in path for path in attentions)


@needs_triton
def test_another_architecture_has_the_same_launches_and_other_registers(
    pocket: dict[str, ArchKernels],
) -> None:
    old, new = (pocket[arch].part("unet") for arch in ("sm_80", "sm_90"))
    assert old is not None
    assert new is not None
    assert old.extern_calls == new.extern_calls
    assert [each.registers for each in old.resources] != [each.registers for each in new.resources]


@needs_triton
def test_compiling_again_in_this_process_gives_the_same(pocket: dict[str, ArchKernels]) -> None:
    (tier,) = find_tiers(["compile"])
    assert compile_tier(tier, find_checkpoint("pocket"), "sm_80") == pocket["sm_80"]


@needs_triton
def test_a_hook_that_has_moved_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_launch, "_HEURISTICS", "torch._inductor.runtime.nowhere")
    (tier,) = find_tiers(["compile"])
    found = compile_tier(tier, find_checkpoint("pocket"), "sm_90")
    gone = "torch._inductor.runtime.nowhere.CachingAutotuner._precompile_worker"
    assert found == ArchKernels("sm_90", found.triton, unsupported=gone)


def test_code_that_goes_another_way_than_through_the_patches_is_no_pass() -> None:
    compilation = Compilation({})
    with pytest.raises(HookMoved, match="no graph was compiled"):
        compilation.parts()
    launched = LaunchedCode({"unet": {"triton_poi_fused_add": 1}}, {})
    silent = Compilation({}, {"unet": 1}, {"unet": []}, {"unet": []})
    with pytest.raises(HookMoved, match="no launch in the code of unet"):
        silent.parts()
    unassembled = Compilation({}, {"unet": 1}, {"unet": [launched]}, {"unet": []})
    with pytest.raises(HookMoved, match="triton_poi_fused_add is not assembled"):
        unassembled.parts()


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed: torch.Tensor = self.norm(x)
        return normed + x


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Inner()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.blocks[0](x)
        return out.relu()


def test_nodes_of_dynamos_graph_know_their_module() -> None:
    paths: dict[str, str] = {}

    def note(graph: torch.fx.GraphModule, _: object) -> Any:
        paths.update(module_paths(graph))
        return graph.forward

    torch.compiler.reset()
    torch.compile(Outer(), backend=note, fullgraph=True)(torch.ones(1, 4))
    torch.compiler.reset()
    assert {"blocks.0", "blocks.0.norm", ""} <= set(paths.values())
