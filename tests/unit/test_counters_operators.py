"""Operators are counted by module, on real, fake and meta tensors, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from perfsuite.counters.operators import OperatorCounter
from perfsuite.results.structure import CountDifference, OperatorCounts, merged


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(8, 8, bias=False)
        self.to_k = nn.Linear(8, 8, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k = self.to_q(x)[:, None], self.to_k(x)[:, None]
        return F.scaled_dot_product_attention(q, k, k)[:, 0]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 1)
        self.attentions = nn.ModuleList([Attention()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.attentions[0](self.conv(x))
        return out


def count(net: nn.Module, x: torch.Tensor) -> OperatorCounts:
    with torch.no_grad(), OperatorCounter({"net": net}) as counter:
        net(x)
    return counter.take()


def test_every_operator_is_under_the_module_that_called_it() -> None:
    counts = count(Net(), torch.randn(2, 4, 8))
    assert counts.calls["net.conv"] == {"aten.convolution": 1}
    assert counts.calls["net.attentions.0.to_q"]["aten.mm"] == 1
    assert counts.of("net.attentions.0").sdpa == counts.sdpa == 1
    assert counts.of("net.conv").operators == 1


@pytest.mark.parametrize("kind", ["fake", "meta"])
def test_tensors_without_numbers_give_the_operators_of_real_ones(kind: str) -> None:
    real = count(Net(), torch.randn(2, 4, 8))
    if kind == "meta":
        found = count(Net().to("meta"), torch.empty(2, 4, 8, device="meta"))
    else:
        with FakeTensorMode():
            found = count(Net(), torch.empty(2, 4, 8))
    assert found.flops == real.flops
    assert found.of("net.conv").calls == real.of("net.conv").calls
    assert found.host_syncs == real.host_syncs == 0


def test_flops_are_torchs_own() -> None:
    net, x = Net(), torch.randn(2, 4, 8)
    with torch.no_grad(), FlopCounterMode(display=False) as torchs:
        net(x)
    without_attention = count(net, x).total_flops - 2 * (2 * 2 * 4 * 8 * 4)  # CPU SDPA: none there
    assert without_attention == torchs.get_total_flops()


def test_int8_products_have_flops() -> None:
    with OperatorCounter({}) as counter:
        torch._int_mm(torch.ones(32, 16, dtype=torch.int8), torch.ones(16, 8, dtype=torch.int8))
    assert counter.take().total_flops == 2 * 32 * 16 * 8


def test_reads_by_the_host_are_counted_where_they_are_made() -> None:
    x = torch.randn(4)
    with OperatorCounter({}) as counter, counter.inside("scheduler"):
        float(x[0])
        x.cpu()
        x.tolist()
        x.nonzero()
        bool(x.sum() > 0)
    sites = counter.take().syncs["scheduler"]
    assert sites == {
        f"{how} in {__name__}.test_reads_by_the_host_are_counted_where_they_are_made": n
        for how, n in {"Tensor.item": 2, "Tensor.cpu": 1, "Tensor.tolist": 1, "nonzero": 1}.items()
    }


def test_beside_an_accelerator_reading_host_memory_waits_for_nothing() -> None:
    with OperatorCounter({}, device="cuda") as counter:
        torch.ones(1).item()
    assert counter.take().host_syncs == 0


def test_random_draws_are_counted_and_dropout_free_attention_is_none() -> None:
    with OperatorCounter({}) as counter:
        torch.randn(3, generator=torch.Generator().manual_seed(0))
        torch.empty(3).uniform_()
        q = torch.ones(1, 1, 4, 8)
        F.scaled_dot_product_attention(q, q, q)
    assert counter.take().draws == {"pipeline": {"aten.randn": 1, "aten.uniform_": 1}}


def test_taking_begins_anew_and_stretches_add_up() -> None:
    net, x = Net(), torch.randn(2, 4, 8)
    with torch.no_grad(), OperatorCounter({"net": net}) as counter:
        net(x)
        first = counter.take()
        net(x)
        second = counter.take()
    assert first == second
    assert merged([first, second]).operators == 2 * first.operators


def test_an_error_inside_leaves_no_hook_behind() -> None:
    net = Net()
    with pytest.raises(RuntimeError):  # noqa: SIM117 (the counter has to see the error)
        with OperatorCounter({"net": net}):
            net(torch.randn(1))
    hooks = torch.nn.modules.module
    assert not hooks._global_forward_hooks
    assert not hooks._global_forward_pre_hooks
    assert count(net, torch.randn(2, 4, 8)).calls["net.conv"] == {"aten.convolution": 1}


def test_counting_compiled_code_compiles_nothing_and_leaves_it_valid() -> None:
    torch.compiler.reset()
    compiled_graphs = torch._dynamo.utils.counters["stats"]
    net, x = Net(), torch.randn(2, 4, 8)
    fast = torch.compile(net, backend="eager", fullgraph=True)
    with torch.no_grad():
        fast(x)
        before = compiled_graphs["unique_graphs"]
        with OperatorCounter({"net": net}) as counter:
            fast(x)
        fast(x)
    assert counter.take() == count(net, x)
    assert compiled_graphs["unique_graphs"] == before
    torch.compiler.reset()


def test_watchers_see_arguments_and_results() -> None:
    seen: list[tuple[str, tuple[int, ...]]] = []

    def watch(name: str, args: tuple[object, ...], kwargs: dict[str, object], out: object) -> None:
        assert isinstance(out, torch.Tensor)
        seen.append((name, tuple(out.shape)))

    with OperatorCounter({}, watchers=(watch,)):
        torch.ones(2, 3).mm(torch.ones(3, 4))
    assert seen[-1] == ("aten.mm", (2, 4))


def test_differences_name_module_and_operator_worst_first() -> None:
    before = OperatorCounts({"net.a": {"aten.mm": 2}, "net.b": {"aten.add": 1}})
    now = OperatorCounts({"net.a": {"aten.mm": 7, "aten.silu": 1}})
    assert now.differences(before) == (
        CountDifference("net.a", "aten.mm", 2, 7),
        CountDifference("net.a", "aten.silu", 0, 1),
        CountDifference("net.b", "aten.add", 1, 0),
    )
    assert now.differences(now) == ()
