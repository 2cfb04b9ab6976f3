"""int8 on a small GPU: layers that cuBLAS's product would refuse stay as they are, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from perfsuite.checkpoints import find_checkpoint
from perfsuite.device import CpuDevice
from perfsuite.images.layers import quantised_layers
from perfsuite.ladder import BuiltTier, build_tier, changes, find_tiers
from perfsuite.ladder.few_rows import FEWEST_ROWS, needs_rows
from perfsuite.workload import Workloads


@pytest.fixture(scope="module")
def on_a_small_gpu() -> Iterator[BuiltTier]:
    """The int8 tier as it is built where there are too few multiprocessors; nothing is compiled."""
    pocket = find_checkpoint("pocket")
    asked = Workloads(replace(pocket.latency, steps=1), pocket.quality)
    (int8,) = find_tiers(["int8"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "needs_rows", lambda device: True)
        with build_tier(int8, pocket, CpuDevice(), workloads=asked) as built:
            yield built


def test_every_quantised_layer_sees_more_rows_than_the_product_needs(
    on_a_small_gpu: BuiltTier,
) -> None:
    built, rows = on_a_small_gpu, {}
    hooks = []
    for name, layer in quantised_layers(built.pipeline).items():

        def note(_: object, inputs: tuple[torch.Tensor, ...], name: str = name) -> None:
            rows[name] = inputs[0].numel() // inputs[0].shape[-1]

        hooks.append(layer.register_forward_pre_hook(note))
    with torch.compiler.set_stance("force_eager"):
        shot = next(built.latency.shots())
        built.family.call(built.pipeline, built.latency, shot)
    for hook in hooks:
        hook.remove()
    assert rows
    assert min(rows.values()) >= FEWEST_ROWS


def test_the_layers_that_are_left_out_are_named(on_a_small_gpu: BuiltTier) -> None:
    (said,) = [each.message for each in on_a_small_gpu.findings if each.subject == "int8"]
    assert "at most 16 rows" in said
    assert "unet.time_embedding.linear_1" in said
    assert "attn1" not in said


def test_a_cpu_needs_no_rows() -> None:
    assert not needs_rows("cpu")


@pytest.mark.parametrize(
    ("multiprocessors", "needs"), [(40, True), (58, True), (68, False), (108, False)]
)
def test_small_gpus_need_rows(
    multiprocessors: int, needs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Properties:
        multi_processor_count = multiprocessors

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: Properties())
    assert needs_rows("cuda") is needs
    monkeypatch.setattr(torch.version, "hip", "7.0")
    assert not needs_rows("cuda")
