"""SIGKILL at random moments: nothing that was reported as saved is lost, nothing is ever half read.

The long form is `pytest -m slow tests/unit/test_kills.py -s`: 200 kills of writers; those of whole
sessions and commands are in `test_kills_commands.py`. Seeds are printed and `PERFSUITE_KILLS_SEED`
repeats the moments as far as a scheduler repeats anything.
"""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

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
