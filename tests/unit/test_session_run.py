"""A session's verdicts together; what a session does with real tiers is in test_plugin."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.compiler import COMPILE_CACHE
from perfsuite.device import FakeDevice
from perfsuite.errors import CompilerMissing
from perfsuite.judge import Outcome
from perfsuite.judge.comparison import Comparison
from perfsuite.judge.latency import decide
from perfsuite.judge.variance import Spread
from perfsuite.results.session import TierResult, load_record
from perfsuite.session.preflight import prepare_run
from perfsuite.session.run import Run
from perfsuite.settings import resolve_settings
from tests.unit.samples import quiet_run, record

SPREAD = Spread(0.03, 28, 0.0, 24)


def compared(difference: float) -> Comparison:
    return Comparison(quiet_run(difference), 1.0, difference, 0.0, 0.03, SPREAD, 5)


def a_run(folder: Path, differences: dict[str, float]) -> Run:
    """A session whose tiers came out slower by these, each judged as if it were the first."""
    empty: Any = None
    known = record()
    comparisons = {tier: compared(each) for tier, each in differences.items()}
    results = [
        TierResult(tier, latency=decide(each, known.policy)) for tier, each in comparisons.items()
    ]
    settings: Any = SimpleNamespace(out=folder)
    return Run(
        settings,
        FakeDevice(),
        empty,
        (),
        empty,
        None,
        None,
        record(*results),
        _comparisons=comparisons,
    )


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
    verdict = load_record(run.record_path).tiers[0].latency
    assert verdict is not None
    assert verdict.outcome is Outcome.REGRESSED
    assert "Holm" in verdict.reason
    assert verdict.alpha == pytest.approx(0.01 / 3)


def test_a_regression_is_never_taken_back_at_the_end(tmp_path: Path) -> None:
    run = a_run(tmp_path, {"fp32": 0.5, "bf16": 0.0, "sdpa": -0.5})
    before = outcomes(run)
    run.finish(complete=True)
    assert outcomes(run) == before


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


def test_a_compiler_is_asked_for_by_the_tiers_that_tests_are_left_for(
    quick: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "none")
    settings = resolve_settings({"checkpoint": "quick"}, tmp_path)
    left = frozenset({"fp32"})
    prepare_run(settings, tmp_path, scores_images=False, selected=left).finish(complete=False)
    for selected in (None, frozenset({"fp32", "compile"})):
        with pytest.raises(CompilerMissing, match="'none'"):
            prepare_run(settings, tmp_path, scores_images=False, selected=selected)
