"""A worker's process as the gate sees it, played by small scripts that import nothing heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import perfsuite
from perfsuite.errors import ArmFailed, EnvironmentBroken, WorkerFailed
from perfsuite.results.ab import Arm
from perfsuite.workers.client import (
    Launch,
    LibrariesBroken,
    OutOfDeviceMemory,
    Timeouts,
    WorkerProcess,
)
from perfsuite.workers.protocol import Turn

IMPATIENT = Timeouts(start_s=5.0, build_s=0.5, image_s=0.5)


class Stage:
    """A folder in which scripts play interpreters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "perfsuite").mkdir()
        greeting = f'{{"message":"Hello","source":"{folder / "perfsuite"}","prefix":"/env",'
        self.hello = greeting + '"python":"3.11.0","packages":{}}'

    def play(self, *lines: str, name: Arm = Arm.TREATMENT) -> WorkerProcess:
        """An arm whose interpreter is a Python script of these lines."""
        python = self.folder / "python"
        head = (f"#!{sys.executable}", "import os, sys, time", "out = sys.stdout")
        python.write_text("\n".join((*head, *lines)) + "\n")
        python.chmod(0o755)
        return self.arm(python, name)

    def arm(self, python: Path, name: Arm = Arm.TREATMENT) -> WorkerProcess:
        log = self.folder / "log"
        launch = Launch(name, python, self.folder, log, self.folder, self.folder / "cache")
        return WorkerProcess(launch, IMPATIENT)

    def greets(self) -> str:
        return f"print({self.hello!r}, flush=True)"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


REPLIES = "sys.stdin.readline(); print({!r}, flush=True)"


def test_a_worker_greets_and_answers(stage: Stage) -> None:
    arm = stage.play(
        stage.greets(), REPLIES.format('{"message":"Turn","seconds":0.25,"done":true}')
    )
    assert arm.start().prefix == "/env"
    assert arm.turn() == Turn(0.25, done=True)
    arm.close()


@pytest.mark.parametrize("name", list(Arm))
@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("sys.exit('no such kernel')", r"worker ended with 1 \(no such kernel\)"),
        ("os._exit(0)", "worker ended with 0"),
        ("os.kill(os.getpid(), 11)", "worker was killed by SIGSEGV: its log is "),
        ("os.abort()", "worker was killed by SIGABRT"),
    ],
)
def test_a_worker_that_ends_itself_is_that_arms_failure_with_its_last_words(
    stage: Stage, name: Arm, end: str, said: str
) -> None:
    arm = stage.play(stage.greets(), "sys.stdin.readline()", end, name=name)
    arm.start()
    with pytest.raises(ArmFailed, match=f"{name.value} {said}") as caught:
        arm.turn()
    assert caught.value.treatment is (name is Arm.TREATMENT)
    arm.close()


@pytest.mark.parametrize("number", [1, 15])
def test_a_worker_that_somebody_ends_says_nothing_of_its_arm(stage: Stage, number: int) -> None:
    # Under nohup a hangup is ignored, by children too.
    heeded = f"__import__('signal').signal({number}, 0)"
    killed = f"os.kill(os.getpid(), {number})"
    arm = stage.play(stage.greets(), "sys.stdin.readline()", heeded, killed)
    arm.start()
    with pytest.raises(WorkerFailed, match="was killed by SIG"):
        arm.turn()
    arm.close()


def test_a_worker_that_was_killed_names_the_signal(stage: Stage) -> None:
    arm = stage.play(stage.greets(), "sys.stdin.readline()", "os.kill(os.getpid(), 9)")
    arm.start()
    with pytest.raises(WorkerFailed, match="was killed by SIGKILL: free memory"):
        arm.turn()
    arm.close()


def test_a_worker_that_hangs_is_given_up_and_ended(stage: Stage) -> None:
    arm = stage.play(stage.greets(), "time.sleep(60)")
    arm.start()
    with pytest.raises(WorkerFailed, match=r"has not answered for 0\.5 s"):
        arm.turn()
    start = time.monotonic()
    arm.close()
    assert time.monotonic() - start < 5


def test_a_worker_that_answers_out_of_turn_is_not_believed(stage: Stage) -> None:
    arm = stage.play(stage.greets(), REPLIES.format('{"message":"Begun"}'))
    arm.start()
    with pytest.raises(WorkerFailed, match="answered out of turn"):
        arm.turn()
    arm.close()


@pytest.mark.parametrize("name", list(Arm))
def test_an_error_in_the_worker_is_that_arms_failure(stage: Stage, name: Arm) -> None:
    failed = '{"message":"Failed","error":"RuntimeError: bad graph"}'
    arm = stage.play(stage.greets(), REPLIES.format(failed), name=name)
    arm.start()
    with pytest.raises(ArmFailed, match="RuntimeError: bad graph: its log is ") as caught:
        arm.turn()
    assert caught.value.treatment is (name is Arm.TREATMENT)
    arm.close()


def test_too_little_memory_on_the_device_is_told_apart(stage: Stage) -> None:
    failed = '{"message":"Failed","error":"OutOfMemoryError: CUDA","out_of_memory":true}'
    arm = stage.play(stage.greets(), REPLIES.format(failed))
    arm.start()
    with pytest.raises(OutOfDeviceMemory):
        arm.turn()
    arm.close()


def test_an_environment_that_lacks_a_library_is_broken(stage: Stage) -> None:
    failed = '{"message":"Failed","error":"ModuleNotFoundError: No module named \'diffusers\'"}'
    arm = stage.play(f"print({failed!r}, flush=True)")
    with pytest.raises(EnvironmentBroken, match=r"No module named 'diffusers'.*--treatment"):
        arm.start()
    arm.close()


TORN = '{"message":"Failed","error":"ImportError: undefined symbol","of_libraries":true}'


def test_libraries_that_do_not_import_together_are_the_treatments_fault(stage: Stage) -> None:
    arm = stage.play(f"print({TORN!r}, flush=True)")
    with pytest.raises(LibrariesBroken, match=r"do not import \(ImportError: undefined symbol\)"):
        arm.start()
    arm.close()


def test_a_control_whose_libraries_do_not_import_is_broken(stage: Stage) -> None:
    arm = stage.play(f"print({TORN!r}, flush=True)", name=Arm.CONTROL)
    with pytest.raises(EnvironmentBroken, match=r"undefined symbol.*--control"):
        arm.start()
    arm.close()


def test_a_treatment_that_crashes_while_it_imports_is_at_fault(stage: Stage) -> None:
    crash = "import signal; os.kill(os.getpid(), signal.SIGSEGV)"
    arm = stage.play(crash)
    with pytest.raises(LibrariesBroken, match="treatment worker was killed by SIGSEGV"):
        arm.start()
    arm.close()
    arm = stage.play(crash, name=Arm.CONTROL)
    with pytest.raises(EnvironmentBroken, match="control worker was killed by SIGSEGV"):
        arm.start()
    arm.close()
    arm = stage.play("os.kill(os.getpid(), 9)")  # by somebody else: says nothing of the upgrade
    with pytest.raises(WorkerFailed, match="SIGKILL"):
        arm.start()
    arm.close()


@pytest.mark.parametrize(
    ("torch", "of_libraries"),
    [("raise ImportError('undefined symbol')", True), (None, False)],
)
def test_a_worker_tells_libraries_that_are_torn_from_libraries_that_are_missing(
    tmp_path: Path, torch: str | None, of_libraries: bool
) -> None:
    """The real worker in an interpreter that has no packages but a torch of this text."""
    (tmp_path / "perfsuite").symlink_to(Path(perfsuite.__file__).parent)
    if torch is not None:
        (tmp_path / "torch.py").write_text(torch)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "perfsuite.workers.main"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    failed = json.loads(done.stdout)
    assert failed["message"] == "Failed"
    assert failed["of_libraries"] is of_libraries
    assert "undefined symbol" in failed["error"] or torch is None


def test_a_worker_that_runs_another_perfsuite_is_refused(stage: Stage) -> None:
    other = stage.hello.replace(str(stage.folder / "perfsuite"), "/elsewhere/perfsuite")
    arm = stage.play(f"print({other!r}, flush=True)")
    with pytest.raises(EnvironmentBroken, match="runs the perfsuite of /elsewhere/perfsuite"):
        arm.start()
    arm.close()


def test_an_interpreter_that_does_not_start_is_an_environment_that_is_broken(
    stage: Stage,
) -> None:
    python = stage.folder / "python"
    python.write_text("not a program")
    python.chmod(0o755)
    with pytest.raises(EnvironmentBroken, match="does not start"):
        stage.arm(python)


def test_closing_ends_what_the_worker_has_started_too(stage: Stage) -> None:
    child = stage.folder / "child"
    arm = stage.play(
        "import subprocess",
        f"open({str(child)!r}, 'w').write(str(subprocess.Popen(['sleep', '60']).pid))",
        stage.greets(),
        "time.sleep(60)",
    )
    arm.start()
    pid = int(child.read_text())
    arm.close()
    deadline = time.monotonic() + 5
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(pid)


WORKER = """
import subprocess, sys, time
from perfsuite.workers import main
requests, replies = main.take_over_pipes()
ending = main.end_with_the_gate(requests)
child = subprocess.Popen(["sleep", "60"])
replies.write(f"{{child.pid}}\\n".encode())
{work}
"""
GATE = """
import subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, start_new_session=True)
print(worker.pid, worker.stdout.readline().decode(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    "work",
    ["while True: pass", "time.sleep(60)", "requests.read(); ending.join(5)"],
    ids=["computes", "waits for something", "waits for requests"],
)
def test_a_gate_that_is_killed_leaves_no_worker_and_nothing_that_one_has_started(
    work: str,
) -> None:
    command = [sys.executable, "-c", GATE, WORKER.format(work=work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as gate:
        assert gate.stdout is not None
        pids = [int(pid) for pid in gate.stdout.readline().split()]
        assert len(pids) == 2
        time.sleep(0.5)
        assert _runs(pids[0])  # while there is a gate, the worker works
        gate.kill()
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in pids if _runs(pid)]
    for pid in left:
        os.kill(pid, 9)
    assert left == []


def test_waiting_workers_are_told_to_sleep_and_share_no_cache(tmp_path: Path) -> None:
    launch = Launch(Arm.CONTROL, Path("python"), tmp_path, tmp_path, tmp_path, tmp_path / "c")
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


@pytest.mark.parametrize("name", list(Arm))
def test_an_environment_that_lacks_what_the_project_s_conftests_import_is_broken(
    stage: Stage, name: Arm
) -> None:
    """A tier of one's own cannot be built there; nothing is said of the upgrade."""
    failed = '{"message":"Failed","error":"SettingsError: no pandas","of_conftests":true}'
    arm = stage.play(stage.greets(), REPLIES.format(failed), name=name)
    arm.start()
    with pytest.raises(EnvironmentBroken, match="no pandas: install what they import, or leave"):
        arm.turn()
    arm.close()
