"""What a worker does, in this process."""

from __future__ import annotations

import gc
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from perfsuite.gate import workbench
from perfsuite.gate.protocol import (
    Begin,
    Begun,
    Build,
    Built,
    Failed,
    Finish,
    Finished,
    Hello,
    ImagesMade,
    MakeImages,
    Sample,
    TakeSample,
    WarmedUp,
    WarmUp,
    encode,
)
from perfsuite.gate.workbench import MOST_WARMUPS, Workbench, is_warm
from tests.unit.gate_samples import WORK


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Let the garbage collector see again what a workbench has frozen."""
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("libraries", "one_thread")
def test_a_workbench_goes_through_a_whole_start(tmp_path: Path) -> None:
    bench = Workbench()
    built = bench.answer(Build("bf16", "pocket", WORK, WORK, "cpu", 1))
    assert isinstance(built, Built)
    assert built.first_image_s > 0
    assert built.device_used_bytes is None
    assert isinstance(bench.answer(WarmUp(())), WarmedUp)
    assert bench.answer(Begin()) == Begun()
    sample = bench.answer(TakeSample())
    assert isinstance(sample, Sample)
    assert sample.seconds > 0
    finished = bench.answer(Finish())
    assert isinstance(finished, Finished)
    assert (finished.graph_breaks, finished.recompiles, finished.late_recompiles) == (0, 0, 0)
    assert 0 < finished.cpu_s <= finished.wall_s * 2
    path = tmp_path / "images.safetensors"
    assert bench.answer(MakeImages(str(path))) == ImagesMade((True,))
    assert load_file(path)["pixels 0"].shape == (64, 64, 3)


def test_an_error_is_a_reply_of_one_line() -> None:
    reply = Workbench().answer(TakeSample())
    assert reply == Failed("RuntimeError: nothing is built yet")


@pytest.mark.usefixtures("libraries")
def test_an_unknown_tier_is_a_reply_too() -> None:
    reply = Workbench().answer(Build("bf17", "pocket", WORK, WORK, "cpu", 1))
    assert isinstance(reply, Failed)
    assert reply.error.startswith("LadderError: unknown tier 'bf17'")


@pytest.mark.parametrize(
    ("taken", "warm"),
    [
        ([1.0, 1.0], False),
        ([1.0, 1.0, 1.0], True),
        ([2.0, 1.5, 1.0], False),
        ([9.0, 1.0, 1.0, 1.01], True),
        ([1.0, 2.0] * (MOST_WARMUPS // 2), True),
        ([30.0, 20.0, 10.0], True),
    ],
)
def test_warm_up_ends_when_latency_has_settled_or_it_has_been_enough(
    taken: list[float], warm: bool
) -> None:
    assert is_warm(taken) is warm


def test_serving_begins_with_a_greeting_and_ends_with_the_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    greeting = Hello("/src", "/env", "3.11.7", {})
    monkeypatch.setattr(workbench, "describe", lambda: greeting)
    replies = io.BytesIO()
    workbench.serve(io.BytesIO(encode(TakeSample())), replies, workbench.Workbench())
    assert replies.getvalue() == encode(greeting) + encode(
        Failed("RuntimeError: nothing is built yet")
    )


def test_a_worker_says_what_it_is() -> None:
    said = workbench.describe()
    assert Path(said.source).name == "perfsuite"
    assert "torch" in said.packages
