"""The nightly workflow, rehearsed: its own commands, read out of its file, night after night."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from perfsuite.results.reasons import BaselineLost
from perfsuite.results.session import RunRecord, load_record
from perfsuite.results.verdict import Metric, Outcome, Verdict
from tests.unit.workflow_player import Played, SelfHosted, load_workflow

ROOT = Path(__file__).parents[2]
NIGHTLY = ROOT / ".github" / "workflows" / "nightly.yml"
RECORD = NIGHTLY.with_name("record.yml")
POOL = "rehearsal"
INPUTS = {
    "device": "cpu",
    "checkpoint": "pocket",
    "tiers": "fp32,sliced",
    # One step and a wide tolerance: what a night remembers is at stake, not what it measures.
    "arguments": "-p tests.unit.night_fakes -p no:cacheprovider --perf-threads 1 --perf-steps 1 "
    "--perf-budget 2 --perf-tolerance 1",
}


def ladder() -> dict[str, Any]:
    job: dict[str, Any] = load_workflow(NIGHTLY)["jobs"]["ladder"]
    return job


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with what lies in this working tree, committed or not."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no git checkout")
    folder = tmp_path_factory.mktemp("origin")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    author = ["-c", "user.name=night", "-c", "user.email=night@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*author, "commit", "-q", "-m", "tonight"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


@pytest.fixture
def runner(origin: Path, tmp_path: Path) -> SelfHosted:
    """A runner on which an earlier night has installed the environment."""
    machine = SelfHosted(tmp_path, origin)
    programs = state(machine) / "venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("pytest", "perfsuite"):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
        (programs / name).chmod(0o755)
    installed = programs.parent / ".installed"
    installed.touch()
    os.utime(installed, times=(time.time() + 86400,) * 2)  # newer than what tonight checks out
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "CXX")
    machine.environment = {name: os.environ[name] for name in kept if name in os.environ}
    return machine


def state(machine: SelfHosted) -> Path:
    return machine.tool_cache / "perfsuite" / POOL


def night(machine: SelfHosted) -> Played:
    return machine.play(ladder(), {"gpu": POOL}, INPUTS)


def latest(out: Path) -> RunRecord:
    return load_record(out / "runs" / "latest.json")


def latencies(record: RunRecord) -> dict[str, Verdict]:
    known = {each.tier: each.verdict(Metric.LATENCY) for each in record.tiers}
    return {tier: verdict for tier, verdict in known.items() if verdict is not None}


def outcomes(record: RunRecord) -> set[tuple[str, Outcome]]:
    return {(tier, verdict.outcome) for tier, verdict in latencies(record).items()}


def every_tier(outcome: Outcome) -> set[tuple[str, Outcome]]:
    return {("fp32", outcome), ("sliced", outcome)}


def is_of_latency(path: Path) -> bool:
    """Counts of operators belong to versions of libraries, and are recorded whenever they lack."""
    return "counters" not in path.parts


def references(out: Path) -> dict[str, bytes]:
    found = (out / "references").rglob("*")
    files = (path for path in found if path.is_file() and not path.name.startswith("."))
    return {path.name: path.read_bytes() for path in files}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_baseline_is_recorded_and_handed_over(runner: SelfHosted) -> None:
    job = load_workflow(RECORD)["jobs"]["measure"]
    done = runner.play(job, {}, {**INPUTS, "gpu": POOL, "runs": "2"})
    assert done.is_green, done.output
    names = {Path(path).name for path in done.artifacts["recorded"]}
    assert any(name.startswith("pocket--") for name in names)
    assert all(path.startswith("baselines/") for path in done.artifacts["recorded"])


@pytest.mark.timeout(900)
def test_three_nights_on_one_runner_and_one_on_a_fresh_machine(
    runner: SelfHosted, origin: Path, tmp_path: Path
) -> None:
    out = state(runner) / "out"

    first = night(runner)
    assert first.is_green, first.output
    assert outcomes(latest(out)) == every_tier(Outcome.RECORDED)
    made = references(out)
    assert "manifest.json" in made
    bucket = tmp_path / "bucket" / POOL
    shutil.copytree(out, bucket, ignore=shutil.ignore_patterns("cache", ".*"))

    second = night(runner)
    assert second.is_green, second.output
    assert outcomes(latest(out)) == every_tier(Outcome.PASSED)
    assert references(out) == made
    assert not (runner.workspace / ".perfsuite").exists()
    assert "passed" in second.summary
    uploaded = second.artifacts[f"night-{POOL}"]
    assert f"runs/{latest(out).run_id}.json" in uploaded

    shutil.rmtree(out / "baselines")
    third = night(runner)
    assert third.steps["Measure and judge"] == "failure"
    assert outcomes(latest(out)) == every_tier(Outcome.NO_BASELINE)
    for verdict in latencies(latest(out)).values():
        assert isinstance(verdict.reasons[0], BaselineLost)
    assert [path.name for path in (out / "baselines").rglob("*.json") if is_of_latency(path)] == []

    fresh = SelfHosted(tmp_path / "fresh", origin, {"PERFSUITE_OUT": f"file://{bucket.parent}"})
    fresh.environment = runner.environment
    shutil.copytree(state(runner) / "venv", state(fresh) / "venv")
    elsewhere = night(fresh)
    assert elsewhere.is_green, elsewhere.output
    assert outcomes(latest(bucket)) == every_tier(Outcome.PASSED)
    assert references(bucket) == made
