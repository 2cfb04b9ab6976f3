"""SIGKILL at random moments of sessions, records, gates and bisections, all real processes.

The long form is `pytest -m slow tests/unit/test_kills_commands.py -s`: 200 kills over all four, or
as many as `PERFSUITE_KILLS` says. Seeds are printed; `PERFSUITE_KILLS_SEED` repeats the moments.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import msgspec
import pytest

from perfsuite.environments.builder import MANIFEST, Manifest
from perfsuite.environments.versions import installed_version
from perfsuite.errors import OutputError
from perfsuite.results.ab import load_gate
from perfsuite.results.bisection import BisectRecord
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.session import load_record
from perfsuite.storage import read_json
from perfsuite.stores.baselines import Baseline
from tests.unit.test_kills import seeded
from tests.unit.victims import (
    CONFTEST,
    LATENCY_TEST,
    MEASURING,
    Slaughter,
    fork_server,
    play_python,
    play_wheels,
    run_command,
    run_pytest,
)

SHARES = {"sessions": 0.3, "records": 0.2, "gates": 0.3, "bisections": 0.2}
"""Of all kills."""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServerContext]:
    with fork_server() as context:
        yield context


@pytest.fixture(
    params=[pytest.param(False, id="short"), pytest.param(True, id="long", marks=pytest.mark.slow)]
)
def kills(request: pytest.FixtureRequest) -> Callable[[str], int]:
    """How often to kill: once in the short form."""
    wanted = int(os.environ.get("PERFSUITE_KILLS") or 200) if request.param else 1
    return lambda what: max(1, round(wanted * SHARES[what]))


def kill(victims: Slaughter, kills: int, whole_s: float, check: Callable[[], None]) -> None:
    """Kill that many of them, look at the files after each, and say how it went."""
    moments, done, ended = seeded(), 0, 0
    while done < kills:
        was_cut = victims.kill_after(moments.uniform(0, 1.02 * whole_s))
        done, ended = done + was_cut, ended + (not was_cut)
        check()
        if was_cut and done % 5 == 0:
            print(f"{done} killed", flush=True)
    print(f"{done} killed, {ended} ended before, in runs of {whole_s:.1f} s")


def nothing_is_left(victims: Slaughter) -> None:
    """No draft and no scratch folder, once a minute has passed and the next one has run."""
    for pattern in (".*.tmp", "recording-*", "perfsuite-gate-*"):
        assert not list(victims.folder.rglob(pattern)), pattern


def runs_of(folder: Path) -> list[str]:
    """Run ids of the committed baseline, which is read whole."""
    (path,) = (folder / "baselines").glob("*/quick.json")
    baseline = read_json(path, Baseline, schema=SCHEMA, error=OutputError, hint="")
    return [run.run_id for run in baseline.tiers["fp32"].runs]


def measuring(folder: Path) -> None:
    (folder / "test_latency.py").write_text(LATENCY_TEST)
    (folder / "conftest.py").write_text(CONFTEST)


def check_records(folder: Path) -> None:
    for path in folder.glob(".perfsuite/runs/*.json"):
        load_record(path)


def test_killed_sessions_lose_no_run_of_those_that_ended(
    server: ForkServerContext, kills: Callable[[str], int], tmp_path: Path
) -> None:
    measuring(tmp_path)
    victims = Slaughter(server, tmp_path, run_pytest, (*MEASURING, "--perf-update=add"))
    victims.whole_s()
    whole_s, known = victims.whole_s(), runs_of(tmp_path)

    def check() -> None:
        nonlocal known
        found = runs_of(tmp_path)
        assert found[: len(known)] == known
        assert len(found) - len(known) in (0, 1)
        known = found
        check_records(tmp_path)

    kill(victims, kills("sessions"), whole_s, check)
    victims.age()
    victims.whole_s()
    assert runs_of(tmp_path)[:-1] == known
    nothing_is_left(victims)


def test_killed_records_keep_the_old_baseline_or_have_the_new_one(
    server: ForkServerContext, kills: Callable[[str], int], tmp_path: Path
) -> None:
    measuring(tmp_path)
    arguments = ("record", "--runs", "2", *MEASURING)
    victims = Slaughter(server, tmp_path, run_command, arguments)
    victims.whole_s()
    whole_s, known = victims.whole_s(), runs_of(tmp_path)

    def check() -> None:
        nonlocal known
        found = runs_of(tmp_path)
        assert len(found) == 2
        assert found == known or not set(found) & set(known), "runs of two recordings"
        known = found
        check_records(tmp_path)

    kill(victims, kills("records"), whole_s, check)
    victims.age()
    victims.whole_s()
    assert not set(runs_of(tmp_path)) & set(known)
    nothing_is_left(victims)


def test_killed_gates_leave_no_worker(
    server: ForkServerContext, kills: Callable[[str], int], tmp_path: Path
) -> None:
    python = str(play_python(tmp_path))
    arguments = ("gate", "--control", python, "--treatment", python)
    victims = Slaughter(
        server, tmp_path, run_command, (*arguments, "--tiers", "fp32", "--budget", "0.2")
    )
    victims.whole_s()

    def check() -> None:
        for path in tmp_path.glob(".perfsuite/gates/*.json"):
            load_gate(path)

    kill(victims, kills("gates"), victims.whole_s(), check)
    victims.age()
    victims.whole_s()
    nothing_is_left(victims)


def test_killed_bisections_leave_whole_environments_and_no_pip(
    server: ForkServerContext, kills: Callable[[str], int], tmp_path: Path
) -> None:
    index = f"--no-index --find-links {play_wheels(tmp_path)}"
    ends = ("--good", f"{index} tiny==1.0", "--bad", f"{index} tiny==1.4")
    arguments = ("bisect", *ends, "--tier", "bf16", "--metric", "latency", "--budget", "1")
    victims = Slaughter(server, tmp_path, run_command, arguments)
    whole_s = victims.whole_s()

    def check() -> None:
        for path in tmp_path.glob(".perfsuite/bisections/*.json"):
            read_json(path, BisectRecord, schema=SCHEMA, error=OutputError, hint="")
        for path in tmp_path.glob(f".perfsuite/envs/*/{MANIFEST}"):
            manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
            found = installed_version(path.parent / "bin" / "python", "tiny")
            assert [(each.name, each.version) for each in manifest.packages] == [("tiny", found)]
            (path.parent / MANIFEST).unlink()  # so that the next one builds, too

    kill(victims, kills("bisections"), whole_s, check)
    victims.age()
    victims.whole_s()
    assert (
        "tiny 1.3 is the first bad version" in (tmp_path / "log").read_text().split("record:")[-1]
    )
    check()
    nothing_is_left(victims)
