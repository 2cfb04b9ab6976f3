"""What a worker does, in this process."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import torch
from safetensors.numpy import load_file

from perfsuite.workers import server as workbench
from perfsuite.workers.protocol import (
    Begin,
    Begun,
    Build,
    Built,
    Count,
    Counts,
    Failed,
    Finish,
    Finished,
    Hello,
    ImagesMade,
    MakeImages,
    Reply,
    Request,
    TakeTurn,
    Turn,
    WarmedUp,
    WarmUp,
    encode,
)
from perfsuite.workers.server import Pause, Workbench
from tests.unit.ab_samples import WORK
from tests.unit.fake_device import FakeDevice


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Let the garbage collector see again what a workbench has frozen."""
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("libraries", "one_thread")
def test_a_workbench_goes_through_a_whole_start(tmp_path: Path) -> None:
    # A worker is a process of its own, which counts from its start; this one has had other tests.
    torch._dynamo.utils.counters.clear()
    bench = Workbench()
    built = bench.answer(Build("fp32", "pocket", WORK, WORK, "cpu", 1))
    assert isinstance(built, Built)
    assert built.first_image_s > 0
    assert built.device_used_bytes is None
    assert isinstance(bench.answer(WarmUp(())), WarmedUp)
    counts = bench.answer(Count())
    assert isinstance(counts, Counts)
    assert counts.counters is not None
    assert counts.counters.image.of("unet").operators > 1000
    assert msgspec.json.decode(msgspec.json.encode(counts), type=Counts) == counts
    assert bench.answer(Begin()) == Begun()
    turns: list[Turn] = []
    last = bench.answer(TakeTurn(), turns.append)
    assert isinstance(last, Turn)
    assert [turn.done for turn in (*turns, last)] == [False, True]  # one step, then the decoder
    assert all(turn.seconds > 0 for turn in (*turns, last))
    finished = bench.answer(Finish())
    assert isinstance(finished, Finished)
    assert (finished.graph_breaks, finished.recompiles, finished.late_recompiles) == (0, 0, 0)
    assert 0 < finished.cpu_s <= finished.wall_s * 2
    path = tmp_path / "images.safetensors"
    assert bench.answer(MakeImages(str(path))) == ImagesMade((True,))
    assert load_file(path)["pixels 0"].shape == (64, 64, 3)


def test_an_error_is_a_reply_of_one_line() -> None:
    reply = Workbench().answer(TakeTurn())
    assert reply == Failed("RuntimeError: nothing is built yet")


@pytest.mark.usefixtures("libraries")
def test_an_unknown_tier_is_a_reply_too() -> None:
    reply = Workbench().answer(Build("bf17", "pocket", WORK, WORK, "cpu", 1))
    assert isinstance(reply, Failed)
    assert reply.error.startswith("LadderError: unknown tier 'bf17'")


def test_serving_begins_with_a_greeting_and_ends_with_the_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    greeting = Hello("/src", "/env", "3.11.7", {})
    monkeypatch.setattr(workbench, "describe", lambda: greeting)
    replies = io.BytesIO()
    workbench.serve(io.BytesIO(encode(TakeTurn())), replies, workbench.Workbench())
    assert replies.getvalue() == encode(greeting) + encode(
        Failed("RuntimeError: nothing is built yet")
    )


class OneImage(Workbench):
    """Makes an image of one step, of nothing."""

    def _do(self, request: Request, pause: Pause) -> Reply:
        pause(Turn(0.5, done=False))
        return Turn(0.25, done=True)


def replies_to(*requests: Request, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(workbench, "describe", lambda: Hello("", "", "", {}))
    replies = io.BytesIO()
    workbench.serve(io.BytesIO(b"".join(map(encode, requests))), replies, OneImage())
    return replies.getvalue().removeprefix(encode(Hello("", "", "", {})))


def test_an_image_goes_on_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    said = replies_to(TakeTurn(), TakeTurn(), monkeypatch=monkeypatch)
    assert said == encode(Turn(0.5, done=False)) + encode(Turn(0.25, done=True))


def test_nothing_else_is_done_while_an_image_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    said = replies_to(TakeTurn(), Finish(), monkeypatch=monkeypatch)
    assert said.endswith(encode(Failed("RuntimeError: an image is under way")))


def test_a_worker_ends_in_the_midst_of_an_image_if_nobody_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SystemExit):
        replies_to(TakeTurn(), monkeypatch=monkeypatch)


def test_time_at_rest_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("perfsuite.workers.server.time.perf_counter", lambda: now[0])

    def image(on_step: Callable[[int], None]) -> None:
        for step in range(2):
            now[0] += 1.0
            on_step(step)
        now[0] += 0.5

    def rest(turn: Turn) -> None:
        turns.append(turn)
        now[0] += 100.0

    bench = Workbench()
    monkeypatch.setattr(bench, "_image", image)
    monkeypatch.setattr(bench, "_tier", SimpleNamespace(device=FakeDevice()))
    turns: list[Turn] = []
    last = bench.answer(TakeTurn(), rest)
    assert (*turns, last) == (Turn(1.0, False), Turn(1.0, False), Turn(0.5, True))


def test_an_accelerator_makes_an_image_in_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Workbench()
    monkeypatch.setattr(
        bench, "_tier", SimpleNamespace(device=FakeDevice(durations_s=[0.75], is_accelerator=True))
    )
    assert bench.answer(TakeTurn()) == Turn(0.75, done=True)


def test_a_worker_says_what_it_is() -> None:
    said = workbench.describe()
    assert Path(said.source).name == "perfsuite"
    assert said.packages["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_what_an_interrupted_installation_left_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (
        ("empty", None),
        ("blank", ""),
        ("nameless", "Version: 1.0\n"),
        ("unversioned", "Name: unversioned\n"),
        ("torch", "Name: torch\nVersion: 1.0\n"),
    ):
        (tmp_path / f"{name}-1.0.dist-info").mkdir()
        if text is not None:
            (tmp_path / f"{name}-1.0.dist-info" / "METADATA").write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    packages = msgspec.json.decode(encode(workbench.describe()), type=Hello).packages
    assert {"empty", "blank", "nameless", "unversioned"}.isdisjoint(packages)
    assert packages["torch"] == "1.0", "what stands first on sys.path is what is imported"


def test_a_project_s_conftests_are_loaded_for_what_they_register(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a worker in its own folder; what they lack is no error of the code under test."""
    from perfsuite.ladder import table

    monkeypatch.setattr(table, "_TIERS", dict(table._TIERS))
    monkeypatch.setattr(workbench, "measuring_process", lambda threads: contextlib.nullcontext())
    project = tmp_path / "project"
    project.mkdir()
    (project / "conftest.py").write_text(
        "import perfsuite\nperfsuite.register_tier("
        "perfsuite.Tier('own', parent='fp32', changes=(), why='ours'))\n"
    )
    request = Build("own", "no such checkpoint", WORK, WORK, "cpu", 1, str(project))
    before = os.getcwd()
    reply = Workbench().answer(request)
    assert isinstance(reply, Failed)
    assert "no such checkpoint" in reply.error, "the tier was found"
    assert not reply.of_conftests
    assert os.getcwd() == before
    (project / "conftest.py").write_text("import nowhere_to_be_found\n")
    sys.modules.pop("conftest", None)
    reply = Workbench().answer(request)
    assert isinstance(reply, Failed)
    assert reply.of_conftests
    assert "No module named 'nowhere_to_be_found'" in reply.error
