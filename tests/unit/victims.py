"""Real processes of perfsuite that do as little as possible, to be killed.

They are forked from a server that has imported the libraries, and run pytest or a command in a
folder of their own. Arms of gates are processes, too, that play a worker: they answer at once, have
a child as a compiler would be one, and watch for the gate's end as the real ones do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import msgspec
import psutil

PRELOADED = (
    "perfsuite.session.preflight",
    "perfsuite.ab.session",
    "perfsuite.bisect.session",
    "perfsuite.cli.commands",
    "pytest_benchmark.plugin",
    "diffusers.models.attention_processor",
)
CONFTEST = """
import dataclasses
from perfsuite.checkpoints import find_checkpoint, registry
from perfsuite.measure import sampling
from perfsuite.measure.conditions import FakeWatch

sampling.watch_for = lambda device: FakeWatch()  # a busy machine spoils no run
pocket = find_checkpoint("pocket")
work = dataclasses.replace(pocket.latency, steps=1)
registry._CHECKPOINTS["quick"] = dataclasses.replace(pocket, name="quick", latency=work)
"""
LATENCY_TEST = """
def test_latency(perf_latency_verdict):
    pass
"""
MEASURING = (
    "-p", "no:cacheprovider", "--perf-checkpoint=quick", "--perf-tiers=fp32", "--perf-budget=0.1"
)  # fmt: skip
PLAYER = """
import json, os, shutil, subprocess, time
from perfsuite.workers import main

REPLIES = json.loads({replies!r})

def play(sample_s):
    requests, replies = main.take_over_pipes()
    ending = main.end_with_the_gate(requests)
    subprocess.Popen(["sleep", "600"])
    source = os.path.realpath(os.path.join(os.environ["PYTHONPATH"], "perfsuite"))
    hello = dict(message="Hello", source=source, prefix="/env", python="3.11.0", packages={{}})
    replies.write(json.dumps(hello).encode() + b"\\n")
    for line in requests:
        asked = json.loads(line)
        if asked["message"] == "MakeImages":
            shutil.copy({images!r}, asked["path"])
        if asked["message"] == "TakeTurn":
            time.sleep(0.01)
            reply = dict(message="Turn", seconds=sample_s, done=True)
        else:
            reply = REPLIES[asked["message"]]
        replies.write(json.dumps(reply).encode() + b"\\n")
    ending.join(timeout=5)  # as the worker does: this thread ends what was started
"""
FIRST_BAD = "1.3"


def import_all() -> None:
    """What every victim needs, once for all of them; a pipeline imports more when it is built."""
    from perfsuite.libraries import import_libraries, quietly

    import_libraries()
    import torch

    torch.set_num_threads(1)  # no thread may be there when others are forked
    with quietly():
        for name in PRELOADED:
            importlib.import_module(name)
        from perfsuite.checkpoints import find_checkpoint
        from perfsuite.device import find_device
        from perfsuite.images.generate import run
        from perfsuite.ladder import build_tier, reference_tier

        pocket = find_checkpoint("pocket")
        with build_tier(reference_tier(), pocket, find_device("cpu")) as built:
            work = dataclasses.replace(built.latency, steps=1)
            run(built.pipeline, work, next(work.shots()))


def run_pytest(folder: Path, arguments: tuple[str, ...]) -> None:
    """One session of pytest, in this process."""
    import pytest

    _in(folder, lambda: pytest.main(["-m", "perf", "-q", *arguments]))


def run_command(folder: Path, arguments: tuple[str, ...]) -> None:
    """One command of perfsuite, in this process."""
    from perfsuite.cli import bisect, record
    from perfsuite.cli.commands import main
    from perfsuite.cli.gate import open_workers
    from perfsuite.environments import builder
    from perfsuite.results.ab import Arm

    def open_players(plan: Any, control: Path, treatment: Path, **options: Any) -> Any:
        programs = dict.fromkeys(Arm, ("tiny_worker",))  # of the wheels in both environments
        return open_workers(plan, control, treatment, programs, **options)

    bisect.open_workers = open_players  # type: ignore[assignment, attr-defined]
    builder.held_equal = lambda named: ()
    record.run_child = _run_forked  # type: ignore[attr-defined]
    _in(folder, lambda: main(list(arguments), standalone_mode=False))


def _in(folder: Path, work: Callable[[], object]) -> None:
    os.chdir(folder)
    (folder / "tmp").mkdir(exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    try:
        code = work()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


def _run_forked(command: list[str], **options: Any) -> CompletedProcess[Any]:
    """`perfsuite.children.run_child`, but that libraries are not imported anew for a session."""
    from perfsuite import children

    if "perf" not in command:  # asks pytest for its folders
        return children.run_child(command, **options)
    bind = children._bound_to(os.getpid())
    child = os.fork()
    if child == 0:
        if bind is not None:
            bind()
        import pytest

        os.environ.update(options["env"])
        os._exit(int(pytest.main(command[3:])))
    return CompletedProcess(command, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


@dataclass(frozen=True)
class Slaughter:
    """What is started and killed, again and again, in one folder.

    Attributes:
        server: forks the processes.
        folder: where they work.
        target: what they do.
        arguments: of what they do.
    """

    server: ForkServerContext
    folder: Path
    target: Callable[[Path, tuple[str, ...]], None]
    arguments: tuple[str, ...]

    def start(self) -> ForkServerProcess:
        """One process."""
        process = self.server.Process(target=self.target, args=(self.folder, self.arguments))
        process.start()
        return process

    def whole_s(self, code: int = 0) -> float:
        """Run it to its end; seconds."""
        start = time.monotonic()
        process = self.start()
        process.join()
        said = (self.folder / "log").read_text()
        assert process.exitcode == code, f"{process.exitcode}: {said[-3000:]}"
        return time.monotonic() - start

    def kill_after(self, seconds: float) -> bool:
        """Start one and kill it, and nothing else; whether it was still running.

        Nothing that it has started may outlive it.
        """
        process = self.start()
        process.join(seconds)
        if process.exitcode is not None:
            return False
        process.kill()
        process.join()
        deadline = time.monotonic() + 30
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, f"orphans: {left}"
        return True

    def processes(self) -> list[str]:
        """Command lines of all processes that work in the folder."""
        found = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                works_here = Path(each.cwd()).is_relative_to(self.folder)
                if works_here and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(each.cmdline())[:200])
        return found

    def age(self) -> None:
        """Make everything in the folder look older than a minute."""
        for path in (self.folder, *self.folder.rglob("*")):
            with contextlib.suppress(OSError):
                os.utime(path, (time.time() - 90,) * 2, follow_symlinks=False)


@contextlib.contextmanager
def fork_server() -> Iterator[ForkServerContext]:
    """A server with the libraries imported; it ends with the test."""
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.unit.victims_preload"])
    try:
        yield context
    finally:
        forkserver._forkserver._stop()  # type: ignore[attr-defined]


def play_python(folder: Path) -> Path:
    """An executable that a gate takes for a Python, and that plays a worker."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{_player(folder)}\nplay(0.05)\n")
    path.chmod(0o755)
    return path


def play_wheels(folder: Path) -> Path:
    """Wheels of `tiny` 1.0 to 1.4 with a worker that is slower from `FIRST_BAD` on."""
    wheels = folder / "wheels"
    wheels.mkdir()
    for minor in range(5):
        version = f"1.{minor}"
        name = f"tiny-{version}"
        sample_s = 0.065 if version >= FIRST_BAD else 0.05
        with zipfile.ZipFile(wheels / f"{name}-py3-none-any.whl", "w") as archive:
            archive.writestr("tiny.py", f"VERSION = '{version}'\n")
            archive.writestr("tiny_worker.py", f"{_player(folder)}\nplay({sample_s})\n")
            about = f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"
            archive.writestr(f"{name}.dist-info/METADATA", about)
            kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            archive.writestr(f"{name}.dist-info/WHEEL", kind)
            archive.writestr(f"{name}.dist-info/RECORD", "")
    return wheels


def _player(folder: Path) -> str:
    """Source of a worker that answers everything at once, with images prepared beforehand."""
    import numpy as np
    from safetensors.numpy import save_file

    from perfsuite.checkpoints import find_checkpoint
    from perfsuite.workers.protocol import Begun, Built, Counts, ImagesMade, WarmedUp
    from tests.unit.ab_samples import finished, image

    shots = list(find_checkpoint("pocket").quality.shots())
    made = image()
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    for shot in shots:
        tensors |= {f"pixels {shot.index}": made.pixels, f"latents {shot.index}": made.latents}
    save_file(tensors, folder / "images.safetensors")
    replies = {
        "Build": Built(0.1, 0.06, ()),
        "WarmUp": WarmedUp((0.05,)),
        "Count": Counts(None, "a player counts nothing"),
        "Begin": Begun(),
        "MakeImages": ImagesMade((True,) * len(shots)),
        "Finish": finished(),
    }
    encoded = msgspec.json.encode(replies).decode()
    return PLAYER.format(replies=encoded, images=str(folder / "images.safetensors"))
