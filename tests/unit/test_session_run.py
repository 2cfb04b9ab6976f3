"""A session's verdicts together; what a session does with real tiers is in test_plugin."""

from __future__ import annotations

import math
import os
import shutil
import statistics
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.compiler import COMPILE_CACHE
from perfsuite.errors import BaselineError, CompilerMissing
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.policy import Assumption
from perfsuite.results.reasons import (
    BaselineLost,
    BaselineRecorded,
    FirstBaseline,
    Incomparable,
    NoBaseline,
    RegressedTogether,
    TierNotInBaseline,
)
from perfsuite.results.samples import LatencySamples
from perfsuite.results.session import load_record
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.session.preflight import prepare_run
from perfsuite.session.run import Run
from perfsuite.settings import resolve_settings
from perfsuite.stores.baselines import Baseline, BaselineStore, RecordedRun, TierBaseline
from perfsuite.stores.first_baselines import FirstBaselines
from tests.unit.fake_device import FakeDevice
from tests.unit.samples import (
    environment,
    latency_samples,
    measurement,
    quiet_run,
    record,
    workload,
)

ERROR = 0.03
"""Standard error of a run's difference from its baseline of one run; 28 degrees of freedom."""


def store_in(folder: Path) -> BaselineStore:
    key = environment().hardware.key
    return BaselineStore(
        folder / "baselines", folder / "local" / "baselines", key, "pocket", workload().digest
    )


def baseline_of(runs: dict[str, LatencySamples]) -> Baseline:
    tiers = {
        tier: TierBaseline(
            statistics.median(run.samples_s), (RecordedRun("1", environment(), run),)
        )
        for tier, run in runs.items()
    }
    return Baseline(SCHEMA, environment().hardware.key, "pocket", workload().digest, tiers)


def started(folder: Path, baseline: Baseline | None, **settings: object) -> Run:
    empty: Any = None
    given: Any = SimpleNamespace(
        **(
            {
                "out": folder / "local",
                "baselines": folder / "baselines",
                "update": None,
                "history": None,
            }
            | settings
        )
    )
    known = record()
    policy = replace(known.policy, assumed=Assumption(ERROR / math.sqrt(2), 28))
    return Run(
        given,
        FakeDevice(),
        empty,
        (),
        store_in(folder),
        baseline,
        None,
        replace(known, policy=policy),
    )


def judged(run: Run, tier: str, latency: LatencySamples) -> Verdict:
    return run.judge_measurement(measurement(tier, latency))


def a_run(folder: Path, differences: dict[str, float]) -> Run:
    """A session whose tiers came out slower by these, one after another."""
    run = started(folder, baseline_of(dict.fromkeys(differences, quiet_run(0))))
    for tier, difference in differences.items():
        judged(run, tier, quiet_run(difference))
    return run


def outcomes(run: Run) -> dict[str, Outcome | None]:
    return {each.tier: each.overall for each in run.record.tiers}


@pytest.mark.parametrize(
    ("others", "expected"), [(0.0, Outcome.INCONCLUSIVE), (0.5, Outcome.REGRESSED)]
)
def test_later_regressions_lend_their_level_to_an_earlier_tier(
    tmp_path: Path, others: float, expected: Outcome
) -> None:
    # 3.1 standard deviations: p = 0.0022, above 0.01 / 6 and below 0.01 / 4.
    run = a_run(tmp_path, {"fp32": 0.093, "bf16": others, "sdpa": others})
    assert outcomes(run)["fp32"] is Outcome.INCONCLUSIVE
    run.finish(complete=True)
    assert outcomes(run)["fp32"] is expected


def test_what_the_session_adds_stands_in_the_record_with_its_reason(tmp_path: Path) -> None:
    run = a_run(tmp_path, {"fp32": 0.093, "bf16": 0.5, "sdpa": 0.5})
    run.finish(complete=True)
    assert run.record_path is not None
    verdict = load_record(run.record_path).tiers[0].verdict(Metric.LATENCY)
    assert verdict is not None
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.reasons == (RegressedTogether(),)
    assert verdict.alpha == pytest.approx(0.01 / 3)


def test_a_regression_is_never_taken_back_at_the_end(tmp_path: Path) -> None:
    run = a_run(tmp_path, {"fp32": 0.5, "bf16": 0.0, "sdpa": -0.5})
    before = outcomes(run)
    run.finish(complete=True)
    assert outcomes(run) == before


# --- what is stored


def stored_runs(folder: Path) -> int:
    baseline = store_in(folder).load()
    return sum(len(tier.runs) for tier in baseline.tiers.values()) if baseline else 0


def test_the_first_run_is_recorded_as_the_machines_own_baseline_and_says_so(
    tmp_path: Path,
) -> None:
    run = started(tmp_path, None, missing="record")
    verdict = judged(run, "fp32", latency_samples())
    assert verdict.outcome is Outcome.RECORDED
    assert verdict.reasons == (FirstBaseline(),)
    assert run.record.result("fp32").verdict(Metric.LATENCY) == verdict
    assert store_in(tmp_path).find() == store_in(tmp_path).path(tmp_path / "local" / "baselines")
    assert stored_runs(tmp_path) == 1


def test_where_a_missing_baseline_is_not_to_be_recorded_nothing_is_stored(tmp_path: Path) -> None:
    verdict = judged(started(tmp_path, None, missing="skip"), "fp32", latency_samples())
    assert verdict.outcome is Outcome.NO_BASELINE
    assert verdict.reasons == (NoBaseline(environment().hardware.key),)
    assert stored_runs(tmp_path) == 0


def forget_baselines(folder: Path) -> None:
    shutil.rmtree(folder / "local" / "baselines")


def test_once_records_the_first_baseline_and_misses_it_when_it_is_lost(tmp_path: Path) -> None:
    first = judged(started(tmp_path, None, missing="once"), "fp32", latency_samples())
    assert first.outcome is Outcome.RECORDED
    forget_baselines(tmp_path)
    lost = judged(started(tmp_path, None, missing="once"), "fp32", latency_samples())
    assert lost.outcome is Outcome.NO_BASELINE
    key = environment().hardware.key
    assert lost.reasons == (BaselineLost(key, key, record().run_id),)
    assert stored_runs(tmp_path) == 0


def test_once_records_a_tier_that_never_had_a_baseline_beside_those_that_have(
    tmp_path: Path,
) -> None:
    judged(started(tmp_path, None, missing="once"), "fp32", latency_samples())
    known = store_in(tmp_path).load()
    added = judged(started(tmp_path, known, missing="once"), "bf16", latency_samples())
    assert added.outcome is Outcome.RECORDED
    assert stored_runs(tmp_path) == 2


def test_a_lost_baseline_is_recorded_anew_where_that_is_asked_for(tmp_path: Path) -> None:
    judged(started(tmp_path, None, missing="once"), "fp32", latency_samples())
    forget_baselines(tmp_path)
    anew = judged(started(tmp_path, None, missing="record"), "fp32", latency_samples())
    assert anew.outcome is Outcome.RECORDED


def test_a_list_of_first_baselines_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "first-baselines.json").write_text("{")
    with pytest.raises(BaselineError, match=r"first-baselines.json is not valid.*delete it"):
        FirstBaselines.under(tmp_path / "local").check()


def test_a_tier_that_the_committed_baseline_lacks_is_not_recorded_beside_it(
    tmp_path: Path,
) -> None:
    store = store_in(tmp_path)
    known = RecordedRun("1", environment(), latency_samples())
    store.save_run(store.committed, measurement("fp32"), known, add=False)
    run = started(tmp_path, store.load(), missing="record")
    verdict = judged(run, "bf16", latency_samples())
    assert verdict.outcome is Outcome.NO_BASELINE
    assert verdict.reasons == (TierNotInBaseline("bf16"),)
    assert stored_runs(tmp_path) == 1


def test_another_probe_is_no_baseline_and_never_overwrites_the_one_that_is_there(
    tmp_path: Path,
) -> None:
    store = store_in(tmp_path)
    known = RecordedRun("1", environment(), latency_samples(probe="v1 float32 cpu"))
    path = store.save_run(store.local, measurement("fp32"), known, add=False)
    before = path.read_bytes()
    run = started(tmp_path, store.load(), missing="record")
    verdict = judged(run, "fp32", latency_samples(probe="v2 float32 cpu"))
    assert verdict.outcome is Outcome.NO_BASELINE
    assert verdict.reasons == (Incomparable("probe", "v2 float32 cpu", "v1 float32 cpu"),)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("update", "runs"), [("replace", 1), ("add", 2)])
def test_a_run_that_is_made_the_baseline_is_recorded_and_names_the_file(
    update: str, runs: int, tmp_path: Path
) -> None:
    store = store_in(tmp_path)
    known = RecordedRun("1", environment(), latency_samples())
    path = store.save_run(store.committed, measurement("fp32"), known, add=False)
    run = started(tmp_path, store.load(), update=update)
    verdict = judged(run, "fp32", latency_samples())
    assert verdict.outcome is Outcome.RECORDED
    assert verdict.reasons == (
        BaselineRecorded(path.relative_to(tmp_path).as_posix(), update == "add"),
    )
    assert stored_runs(tmp_path) == runs


def test_a_session_keeps_compiled_code_under_its_output_folder_and_then_puts_things_back(
    quick: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    monkeypatch.setenv(COMPILE_CACHE, default_cache_dir())  # as importing inductor leaves it
    settings = resolve_settings({"checkpoint": "quick", "tiers": "bf16"}, tmp_path)
    run = prepare_run(settings, tmp_path, scores_images=False)
    assert os.environ[COMPILE_CACHE] == str(tmp_path / ".perfsuite" / "cache" / "inductor")
    run.finish(complete=False)
    assert os.environ[COMPILE_CACHE] == default_cache_dir()


def test_a_compile_cache_that_somebody_has_chosen_is_used(
    quick: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMPILE_CACHE, "/elsewhere")
    settings = resolve_settings({"checkpoint": "quick", "tiers": "bf16"}, tmp_path)
    prepare_run(settings, tmp_path, scores_images=False).finish(complete=False)
    assert os.environ[COMPILE_CACHE] == "/elsewhere"


def test_a_compiler_is_asked_for_by_compiled_tiers_alone(
    quick: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "none")
    eager = resolve_settings({"checkpoint": "quick", "tiers": "fp32"}, tmp_path)
    prepare_run(eager, tmp_path, scores_images=False).finish(complete=False)
    for tiers in (None, "fp32,compile"):
        compiled = resolve_settings({"checkpoint": "quick", "tiers": tiers}, tmp_path)
        with pytest.raises(CompilerMissing, match="'none'"):
            prepare_run(compiled, tmp_path, scores_images=False)
