"""Running trials: resumed, refused, failed; and one real trial on the pocket pipeline."""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
from pathlib import Path
from typing import Any

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.errors import MeasurementError, OutputError
from perfsuite.progress import silent
from perfsuite.selftest.latency import campaign
from perfsuite.selftest.latency.campaign import report_on, run_trials
from perfsuite.selftest.latency.trials import (
    FULL,
    QUICK,
    SCHEMA,
    Trial,
    TrialPlan,
    experiment,
)
from perfsuite.selftest.latency.worker import main, measure_trial
from perfsuite.storage import read_json, write_json
from tests.unit.test_selftest_rates import trials

PLAN = dataclasses.replace(QUICK, baseline_runs=1, fresh_runs=2)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Trials that were measured, in a stand-in for the process that measures them."""
    numbers: list[int] = []

    def measure(folder: Path, number: int) -> Trial:
        numbers.append(number)
        return trials()[number]

    monkeypatch.setattr(campaign, "_in_fresh_process", measure)
    return numbers


def test_every_trial_is_measured_once_and_kept(tmp_path: Path, measured: list[int]) -> None:
    made = run_trials(PLAN, tmp_path, silent)
    assert measured == [0, 1, 2]
    assert [each.number for each in made] == [0, 1, 2]
    assert experiment(tmp_path, PLAN).load() == made


def test_a_stopped_self_test_goes_on_where_it_was(tmp_path: Path, measured: list[int]) -> None:
    run_trials(PLAN, tmp_path, silent)
    experiment(tmp_path, PLAN).path(1).unlink()
    run_trials(PLAN, tmp_path, silent)
    assert measured == [0, 1, 2, 1]


def test_trials_of_another_plan_are_not_mixed_in(tmp_path: Path, measured: list[int]) -> None:
    run_trials(PLAN, tmp_path, silent)
    with pytest.raises(OutputError, match="trials of another self-test: delete the folder"):
        run_trials(dataclasses.replace(PLAN, unchanged_s=1.0), tmp_path, silent)
    assert measured == [0, 1, 2]


def test_a_truncated_trial_is_named(tmp_path: Path, measured: list[int]) -> None:
    run_trials(PLAN, tmp_path, silent)
    path = experiment(tmp_path, PLAN).path(2)
    path.write_text(path.read_text()[:100])
    with pytest.raises(OutputError, match=r"trial-0002\.json is not valid.*makes it anew"):
        run_trials(PLAN, tmp_path, silent)


def test_a_process_that_fails_says_why_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "Traceback\nno C++ compiler\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(MeasurementError, match=r"trial 0 failed \(no C\+\+ compiler\).*goes on"):
        run_trials(PLAN, tmp_path, silent)


def test_too_few_trials_give_no_rate() -> None:
    with pytest.raises(MeasurementError, match="3 trials are too few"):
        report_on(trials()[:3], PLAN)


@pytest.mark.parametrize("plan", [QUICK, FULL])
def test_slowdowns_are_planted_in_fresh_trials_only(plan: TrialPlan) -> None:
    planted = [number for number in range(plan.trials) if plan.plants(number)]
    assert planted
    assert min(planted) >= plan.baseline_runs


def test_the_full_plan_has_over_a_hundred_verdicts_on_unchanged_code() -> None:
    assert (FULL.trials - 5) * len(FULL.tiers) > 100


def test_a_real_trial_holds_unchanged_and_slower_samples(
    quick: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = dataclasses.replace(
        QUICK,
        checkpoint="quick",
        slowdowns=(2.0,),
        baseline_runs=0,
        planted_every=1,
        unchanged_s=0.3,
        planted_s=0.3,
    )
    folder = tmp_path / "selftest" / "latency"
    write_json(folder / "plan.json", plan)
    target = tmp_path / "trial.json"
    main(folder, 0, target)
    trial = read_json(target, Trial, schema=SCHEMA, error=OutputError, hint="")
    plain, slower = trial.find("sdpa", 0.0), trial.find("sdpa", 2.0)
    assert plain is not None
    assert slower is not None
    medians = [statistics.median(each.latency.samples_s) for each in (plain, slower)]
    assert medians[1] > 1.5 * medians[0]
    assert trial.find("sdpa", 0.1) is None


def test_a_trial_of_an_unknown_tier_is_refused(quick: Checkpoint, tmp_path: Path) -> None:
    from perfsuite.errors import LadderError

    plan = dataclasses.replace(QUICK, checkpoint="quick", tiers=("teir",))
    with pytest.raises(LadderError, match="unknown tier 'teir'"):
        measure_trial(plan, 0, tmp_path)
