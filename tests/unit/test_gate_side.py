"""A worker's process as the gate sees it, played by small scripts that import nothing heavy."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from perfsuite.errors import EnvironmentBroken, SideFailed, WorkerFailed
from perfsuite.gate.protocol import Turn
from perfsuite.gate.side import Launch, Name, OutOfDeviceMemory, Timeouts, WorkerSide

IMPATIENT = Timeouts(start_s=5.0, build_s=0.5, image_s=0.5)


class Stage:
    """A folder in which scripts play interpreters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "perfsuite").mkdir()
        greeting = f'{{"message":"Hello","source":"{folder / "perfsuite"}","prefix":"/env",'
        self.hello = greeting + '"python":"3.11.0","packages":{}}'

    def play(self, *lines: str, name: Name = Name.TREATMENT) -> WorkerSide:
        """A side whose interpreter is a Python script of these lines."""
        python = self.folder / "python"
        head = (f"#!{sys.executable}", "import os, sys, time", "out = sys.stdout")
        python.write_text("\n".join((*head, *lines)) + "\n")
        python.chmod(0o755)
        return self.side(python, name)

    def side(self, python: Path, name: Name = Name.TREATMENT) -> WorkerSide:
        log = self.folder / "log"
        launch = Launch(name, python, self.folder, log, self.folder, self.folder / "cache")
        return WorkerSide(launch, IMPATIENT)

    def greets(self) -> str:
        return f"print({self.hello!r}, flush=True)"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


REPLIES = "sys.stdin.readline(); print({!r}, flush=True)"


def test_a_worker_greets_and_answers(stage: Stage) -> None:
    side = stage.play(
        stage.greets(), REPLIES.format('{"message":"Turn","seconds":0.25,"done":true}')
    )
    assert side.start().prefix == "/env"
    assert side.turn() == Turn(0.25, done=True)
    side.close()


def test_a_worker_that_dies_is_named_with_its_last_words(stage: Stage) -> None:
    side = stage.play(stage.greets(), "sys.stdin.readline()", "sys.exit('no such kernel')")
    side.start()
    with pytest.raises(WorkerFailed, match=r"treatment worker ended with 1 \(no such kernel\)"):
        side.turn()
    side.close()


def test_a_worker_that_was_killed_names_the_signal(stage: Stage) -> None:
    side = stage.play(stage.greets(), "sys.stdin.readline()", "os.kill(os.getpid(), 9)")
    side.start()
    with pytest.raises(WorkerFailed, match="was killed by SIGKILL: free memory"):
        side.turn()
    side.close()


def test_a_worker_that_hangs_is_given_up_and_ended(stage: Stage) -> None:
    side = stage.play(stage.greets(), "time.sleep(60)")
    side.start()
    with pytest.raises(WorkerFailed, match=r"has not answered for 0\.5 s"):
        side.turn()
    start = time.monotonic()
    side.close()
    assert time.monotonic() - start < 5


def test_a_worker_that_answers_out_of_turn_is_not_believed(stage: Stage) -> None:
    side = stage.play(stage.greets(), REPLIES.format('{"message":"Begun"}'))
    side.start()
    with pytest.raises(WorkerFailed, match="answered out of turn"):
        side.turn()
    side.close()


@pytest.mark.parametrize("name", list(Name))
def test_an_error_in_the_worker_is_that_sides_failure(stage: Stage, name: Name) -> None:
    failed = '{"message":"Failed","error":"RuntimeError: bad graph"}'
    side = stage.play(stage.greets(), REPLIES.format(failed), name=name)
    side.start()
    with pytest.raises(SideFailed, match="RuntimeError: bad graph: its log is ") as caught:
        side.turn()
    assert caught.value.treatment is (name is Name.TREATMENT)
    side.close()


def test_too_little_memory_on_the_device_is_told_apart(stage: Stage) -> None:
    failed = '{"message":"Failed","error":"OutOfMemoryError: CUDA","out_of_memory":true}'
    side = stage.play(stage.greets(), REPLIES.format(failed))
    side.start()
    with pytest.raises(OutOfDeviceMemory):
        side.turn()
    side.close()


def test_an_environment_that_lacks_a_library_is_broken(stage: Stage) -> None:
    failed = '{"message":"Failed","error":"ModuleNotFoundError: No module named \'diffusers\'"}'
    side = stage.play(f"print({failed!r}, flush=True)")
    with pytest.raises(EnvironmentBroken, match=r"No module named 'diffusers'.*--treatment"):
        side.start()
    side.close()


def test_a_worker_that_runs_another_perfsuite_is_refused(stage: Stage) -> None:
    other = stage.hello.replace(str(stage.folder / "perfsuite"), "/elsewhere/perfsuite")
    side = stage.play(f"print({other!r}, flush=True)")
    with pytest.raises(EnvironmentBroken, match="runs the perfsuite of /elsewhere/perfsuite"):
        side.start()
    side.close()


def test_an_interpreter_that_does_not_start_is_an_environment_that_is_broken(
    stage: Stage,
) -> None:
    python = stage.folder / "python"
    python.write_text("not a program")
    python.chmod(0o755)
    with pytest.raises(EnvironmentBroken, match="does not start"):
        stage.side(python)


def test_closing_ends_what_the_worker_has_started_too(stage: Stage) -> None:
    child = stage.folder / "child"
    side = stage.play(
        "import subprocess",
        f"open({str(child)!r}, 'w').write(str(subprocess.Popen(['sleep', '60']).pid))",
        stage.greets(),
        "time.sleep(60)",
    )
    side.start()
    pid = int(child.read_text())
    side.close()
    deadline = time.monotonic() + 5
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(pid)


def test_waiting_workers_are_told_to_sleep_and_share_no_cache(tmp_path: Path) -> None:
    launch = Launch(Name.CONTROL, Path("python"), tmp_path, tmp_path, tmp_path, tmp_path / "c")
    variables = launch.environment
    assert variables["OMP_WAIT_POLICY"] == "PASSIVE"
    assert variables["PYTHONPATH"] == str(tmp_path)
    assert variables["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "c" / "inductor")


def _runs(pid: int) -> bool:
    """Whether a process is alive; one that has ended and that nobody has buried is not."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
