"""What runs on an accelerator, run on an emulated one: nothing here asks for a CPU or for CUDA."""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

from perfsuite.ab.block import BlockTaker, Work
from perfsuite.checkpoints import Checkpoint, find_checkpoint, registry
from perfsuite.device import AcceleratorDevice, CpuDevice, find_device
from perfsuite.environment import describe_environment
from perfsuite.images.calibration import thresholds_of
from perfsuite.images.generate import generate
from perfsuite.images.references import references_of
from perfsuite.images.scoring import make_images, score_quantised
from perfsuite.judge.images import judge_reference_tier
from perfsuite.ladder import build_tier, find_tiers
from perfsuite.measure import SamplingPlan, measure_tier
from perfsuite.results.ab import Arm
from perfsuite.results.verdict import Outcome
from perfsuite.session.subject import default_checkpoint, default_note
from perfsuite.settings import resolve_settings
from perfsuite.workers import protocol
from perfsuite.workers.server import Workbench
from perfsuite.workload import Workload
from tests.emulated.accelerator import NAME, Calls, Memory

Reply = TypeVar("Reply")
SMALL = Workload(("A fox in the snow",), (0,), 2, 5.0, 64, 64)
PLAN = SamplingPlan(budget_s=0.001, min_rounds=2)


@pytest.fixture(scope="module")
def device() -> AcceleratorDevice:
    found = find_device("auto")
    assert isinstance(found, AcceleratorDevice)
    return found


@pytest.fixture(scope="module")
def pocket() -> Iterator[Checkpoint]:
    """The pocket checkpoint with very little to do, under its own name."""
    small = replace(find_checkpoint("pocket"), latency=SMALL, quality=SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._CHECKPOINTS, "pocket", small)
        torch.set_num_threads(1)
        yield small


def test_auto_finds_it_and_measures_the_miniature_and_says_so(
    device: AcceleratorDevice, tmp_path: Path
) -> None:
    assert (device.name, device.is_accelerator) == (NAME, True)
    assert default_checkpoint(device) == "pocket"
    note = default_note(resolve_settings({}, tmp_path), device)
    assert note is not None
    assert "sdxl is the default on CUDA" in note


def test_tensors_of_two_devices_do_not_meet(device: AcceleratorDevice) -> None:
    with pytest.raises(RuntimeError, match="same device"):
        torch.ones(2, device=NAME) + torch.ones(2)


def test_a_tier_is_measured_with_its_probe_its_host_and_its_own_memory(
    device: AcceleratorDevice, pocket: Checkpoint
) -> None:
    (fp32,) = find_tiers(["fp32"])
    before = Calls.counted["synchronize"]
    with build_tier(fp32, pocket, device) as built:
        weights = Memory.now
        measured = measure_tier(built, PLAN)
    gc.collect()
    assert Memory.now == 0  # tier and probe are gone, and nothing has kept a tensor
    assert Calls.counted["synchronize"] > before
    assert measured.latency.probe == f"v3 float32 {NAME}"  # a device without graphs: no ' graph'
    assert len(measured.latency.samples_s) == 2
    peak, held = measured.memory.peak_bytes, measured.memory.held_bytes
    assert peak is not None
    assert held is not None
    assert weights < peak < 2 * weights  # weights and activations; the probe is not among them
    assert 0 < held < weights
    assert measured.host_share is not None
    assert 0 < measured.host_share <= 1
    assert [each.what for each in measured.conditions.not_known]
    assert measured.conditions.watched_s  # the host was watched beside it


def test_every_eager_tier_makes_the_image_that_a_cpu_makes(
    device: AcceleratorDevice, pocket: Checkpoint
) -> None:
    (shot,) = pocket.quality.shots()
    images = {}
    for name, where in (
        ("cpu", CpuDevice()), ("fp32", device), ("bf16", device), ("sdpa", device)
    ):  # fmt: skip
        (tier,) = find_tiers(["fp32" if name == "cpu" else name])
        with build_tier(tier, pocket, where) as built:
            images[name] = generate(built.pipeline, replace(built.quality, steps=1), shot).pixels
    assert np.abs(images["fp32"] - images["cpu"]).max() < 1e-4
    assert 1e-4 < np.abs(images["bf16"] - images["cpu"]).max() < 0.1
    assert np.abs(images["sdpa"] - images["cpu"]).max() < 0.1


def test_references_are_made_and_hold(device: AcceleratorDevice, pocket: Checkpoint) -> None:
    (fp32,) = find_tiers(["fp32"])
    with build_tier(fp32, pocket, device) as built:
        references = references_of(make_images(built, built.quality), built.quality)
        scores = references.score(make_images(built, built.quality), built.quality)
    assert judge_reference_tier(scores, ()).outcome is Outcome.PASSED
    assert thresholds_of(find_tiers(["bf16"])[0], None).ask_nothing


def test_quantised_layers_are_scored_one_by_one(
    device: AcceleratorDevice, pocket: Checkpoint
) -> None:
    (int8,) = find_tiers(["int8"])
    build = functools.partial(build_tier, checkpoint=pocket, device=device)
    scores = score_quantised(int8, build)
    assert len(scores) > 50
    assert all(0 < (each.relative_error or 0) < 0.05 for each in scores)


@dataclass
class Bench:
    """An arm in this process: the real workbench, without its pipes."""

    bench: Workbench

    def start(self) -> protocol.Hello:
        return protocol.Hello("", "", "3.11.0", {})

    def build(self, request: protocol.Build) -> protocol.Built:
        return self._ask(request, protocol.Built)

    def warm_up(self, cores: tuple[int, ...]) -> protocol.WarmedUp:
        return self._ask(protocol.WarmUp(cores), protocol.WarmedUp)

    def count(self) -> protocol.Counts:
        return self._ask(protocol.Count(), protocol.Counts)

    def begin(self) -> None:
        self._ask(protocol.Begin(), protocol.Begun)

    def turn(self) -> protocol.Turn:
        return self._ask(protocol.TakeTurn(), protocol.Turn)

    def finish(self) -> protocol.Finished:
        return self._ask(protocol.Finish(), protocol.Finished)

    def images(self, workload: Workload) -> tuple[()]:
        return ()

    def close(self) -> None:
        self.bench._tier = None

    def _ask(self, request: protocol.Request, kind: type[Reply]) -> Reply:
        reply = self.bench.answer(request)
        assert isinstance(reply, kind), reply
        return reply


def test_two_arms_of_a_gate_take_turns_of_whole_images(
    device: AcceleratorDevice, pocket: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "perfsuite.workers.server.WARMUP", replace(PLAN.warmup, longest_s=0.001, most=2)
    )
    request = protocol.Build("fp32", "pocket", SMALL, SMALL, NAME, 1)
    work = Work(
        request, (), 0.001, usable_cores=None, threads=1, fewest_pairs=2, makes_images=False
    )
    block = BlockTaker(work, lambda name: Bench(Workbench()), 0).take()
    assert block.interleaved
    assert block.turns == 1
    order = "".join("C" if each.arm is Arm.CONTROL else "T" for each in block.samples)
    assert order == "CTTC"
    assert {facts.memory.source for facts in block.starts.values()} == {
        "device allocator, reserved"
    }


def test_the_record_says_what_launches_the_devices_work(
    device: AcceleratorDevice, tmp_path: Path
) -> None:
    found = describe_environment(device, None, tmp_path)
    assert found.hardware.key == f"{NAME}-{NAME}"
    assert found.host is not None
    assert found.host.kind == "cpu"
    assert found.cores == found.host.cores
    assert found.busy_threads == 1
