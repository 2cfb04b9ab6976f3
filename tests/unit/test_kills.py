"""SIGKILL at random moments: nothing that was reported as saved is lost, nothing is ever half read.

The long form is `pytest -m slow tests/unit/test_kills.py -s`: 200 kills of writers, and kills of
whole sessions and gates, whose number `PERFSUITE_KILLS` sets. Seeds are printed and
`PERFSUITE_KILLS_SEED` repeats the moments as far as a scheduler repeats anything.
"""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil
import pytest

from perfsuite.results.ab import load_gate
from perfsuite.results.session import load_record
from perfsuite.stores.baselines import BaselineStore, RecordedRun
from tests.unit.samples import environment, latency_samples, measurement, workload

WRITER = """
import dataclasses, itertools, os, sys, time
from pathlib import Path
import msgspec
from perfsuite.results.samples import Measurement
from perfsuite.stores.baselines import BaselineStore, RecordedRun
folder, key, workload, measured, run = sys.argv[1:]
store = BaselineStore(Path(folder), Path(folder), key, "pocket", workload)
measurement = msgspec.json.decode(measured, type=Measurement)
run = msgspec.json.decode(run, type=RecordedRun)
for number in itertools.count():
    mine = dataclasses.replace(run, run_id=f"{os.getpid()}-{number}")
    store.save_run(Path(folder), measurement, mine, add=True)
    os.write(1, f"{mine.run_id}\\n".encode())
    time.sleep(0.003)  # or nobody else ever finds the lock free
"""
LATENCY_TEST = """
import pytest

@pytest.mark.perf
def test_latency(latency_verdict):
    pass
"""
# Little to do, on a machine that counts as quiet: an invalid run would not be stored.
QUICK = """
import dataclasses
from perfsuite.checkpoints import find_checkpoint, registry
from perfsuite.measure import sampling
from perfsuite.measure.conditions import FakeWatch

sampling.watch_for = lambda device: FakeWatch()
pocket = find_checkpoint("pocket")
work = dataclasses.replace(pocket.latency, steps=1)
registry._CHECKPOINTS["quick"] = dataclasses.replace(pocket, name="quick", latency=work)
"""


def seeded() -> random.Random:
    seed = int(os.environ.get("PERFSUITE_KILLS_SEED") or secrets.randbelow(2**32))
    print(f"\nPERFSUITE_KILLS_SEED={seed}")
    return random.Random(seed)


@dataclass
class Writers:
    """Processes that add runs to one baseline in a tight loop, and say which they have saved."""

    folder: Path
    store: BaselineStore
    live: list[subprocess.Popen[bytes]] = field(default_factory=list)
    said: list[Path] = field(default_factory=list)

    def start(self) -> None:
        run = RecordedRun("1", environment(), latency_samples())
        arguments = [
            str(self.store.committed), self.store.hardware_key, self.store.workload,
            msgspec.json.encode(measurement()).decode(), msgspec.json.encode(run).decode(),
        ]  # fmt: skip
        said = self.folder / f"said-{len(self.said)}"
        with said.open("wb") as out:
            command = [sys.executable, "-c", WRITER, *arguments]
            self.live.append(subprocess.Popen(command, stdout=out))
        self.said.append(said)

    def wait_for_work(self) -> None:
        """Until the newest writer has saved its first run."""
        deadline = time.monotonic() + 60
        while not self.said[-1].read_bytes() and time.monotonic() < deadline:
            time.sleep(0.005)

    def kill(self, number: int) -> None:
        writer = self.live.pop(number)
        writer.kill()
        writer.wait()

    def reported(self) -> set[str]:
        lines = [said.read_text().splitlines(keepends=True) for said in self.said]
        return {line.strip() for each in lines for line in each if line.endswith("\n")}

    def saved(self) -> list[str]:
        baseline = self.store.load()  # raises where a half file is read
        return [run.run_id for run in baseline.tiers["fp32"].runs] if baseline else []


def kill_writers(folder: Path, kills: int, moments: random.Random) -> None:
    """Kill one of two writers again and again, and look at the baseline after each time."""
    key = environment().hardware.key
    store = BaselineStore(folder / "b", folder / "b", key, "pocket", workload().digest)
    folder.mkdir()
    writers = Writers(folder, store)
    try:
        writers.start()
        for done in range(kills):
            writers.start()
            writers.wait_for_work()
            time.sleep(moments.uniform(0, 0.03))
            writers.kill(moments.randrange(2))
            reported = writers.reported()
            saved = writers.saved()
            assert reported <= set(saved), f"kill {done}: {reported - set(saved)} are lost"
            assert len(saved) == len(set(saved))
    finally:
        while writers.live:
            writers.kill(0)
    assert writers.reported() <= set(writers.saved())
    assert len(writers.reported()) >= kills
    leave_nothing_behind(writers)


def leave_nothing_behind(writers: Writers) -> None:
    """The next session is not held up, and takes away the drafts of the killed ones."""
    path = writers.store.path(writers.store.committed)
    for draft in path.parent.glob(".*.tmp"):
        os.utime(draft, (time.time() - 90,) * 2)
    run = RecordedRun("last", environment(), latency_samples())
    start = time.monotonic()
    writers.store.save_run(writers.store.committed, measurement(), run, add=True)
    assert time.monotonic() - start < 10
    assert sorted(each.name for each in path.parent.iterdir()) == [f".{path.name}.lock", path.name]
    assert writers.saved()[-1] == "last"


def test_ten_kills_of_writers_lose_no_run_that_was_saved(tmp_path: Path) -> None:
    kill_writers(tmp_path / "all", 10, seeded())


@pytest.mark.slow
def test_200_kills_of_writers_lose_no_run_that_was_saved(tmp_path: Path) -> None:
    moments = seeded()
    for number in range(20):
        kill_writers(tmp_path / str(number), 10, moments)


def kills_wanted(default: int) -> int:
    return int(os.environ.get("PERFSUITE_KILLS") or default)


def killed(command: list[str], folder: Path, after_s: float) -> bool:
    """Start a command, kill it and nothing else; whether it was still running."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        process.wait(after_s)
        return False
    except subprocess.TimeoutExpired:
        family = [*psutil.Process(process.pid).children(recursive=True)]
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(family, timeout=30)
    names = [" ".join(each.cmdline()[:4]) for each in left]
    for each in left:
        each.kill()
    assert not names, f"orphans: {names}"
    return True


def check_files(folder: Path, loads: Callable[[Path], object], pattern: str) -> int:
    found = list(folder.glob(pattern))
    for path in found:
        loads(path)
    return len(found)


@pytest.mark.slow
def test_killed_sessions_lose_no_run_of_those_that_ended(tmp_path: Path) -> None:
    (tmp_path / "test_latency.py").write_text(LATENCY_TEST)
    (tmp_path / "conftest.py").write_text(QUICK)
    command = [
        sys.executable, "-m", "pytest", "-m", "perf", "-q", "--perf-checkpoint=quick",
        "--perf-tiers=fp32", "--perf-only=latency", "--perf-budget=0.2", "--perf-update=add",
    ]  # fmt: skip

    def runs() -> list[str]:
        (path,) = (tmp_path / "baselines").glob("*/quick.json")
        stored = msgspec.json.decode(path.read_bytes())
        return [run["run_id"] for run in stored["tiers"]["fp32"]["runs"]]

    start = time.monotonic()
    subprocess.run(command, cwd=tmp_path, check=True)
    whole_s = time.monotonic() - start
    moments, known, cut = seeded(), runs(), 0
    for _ in range(kills_wanted(20)):
        # Most of a session is importing; files are written in its last third.
        was_cut = killed(command, tmp_path, whole_s * moments.triangular(0.1, 1.05, 0.9))
        cut += was_cut
        found = runs()
        assert found[: len(known)] == known
        assert len(found) - len(known) in ((0, 1) if was_cut else (1,))
        known = found
        check_files(tmp_path, load_record, ".perfsuite/runs/*.json")
    print(f"{cut} sessions killed, {len(known)} runs in the baseline")


@pytest.mark.slow
def test_killed_gates_leave_no_worker(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "perfsuite.cli.main", "gate", "--control", ".", "--treatment", ".",
        "--tiers", "fp32", "--budget", "4",
    ]  # fmt: skip
    moments, cut = seeded(), 0
    for _ in range(kills_wanted(5)):
        cut += killed(command, tmp_path, moments.uniform(5, 60))
        check_files(tmp_path, load_gate, ".perfsuite/gates/*.json")
    print(f"{cut} gates killed")
