"""A slowdown is explained by the stages that have grown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfsuite.judge.stages import explained, grown
from perfsuite.report.messages import describe
from perfsuite.results.stages import STAGES, StageTimes, TierStages
from perfsuite.results.verdict import Outcome
from tests.unit.samples import latency_samples, latency_verdict, measurement

USUAL = StageTimes(1.0, 0.1, (0.2, 0.2, 0.2), 0.05, 0.2)


def stages(*passes: StageTimes) -> TierStages:
    return TierStages(passes or (USUAL,))


def slower(**changes: float) -> TierStages:
    added = sum(value - getattr(USUAL, name) for name, value in changes.items())
    return stages(replace(USUAL, total_s=USUAL.total_s + added, **changes))  # type: ignore[arg-type]


def test_stages_add_up_to_the_image() -> None:
    assert sum(USUAL.parts_s.values()) == pytest.approx(USUAL.total_s)
    assert tuple(USUAL.parts_s) == STAGES


def test_medians_are_over_passes() -> None:
    passes = stages(USUAL, replace(USUAL, decode_s=9.0), replace(USUAL, decode_s=0.3))
    assert passes.typical_s("VAE decode") == 0.3
    assert passes.step_s == 0.2


def test_the_stage_that_has_grown_is_named_alone() -> None:
    (found,) = grown(slower(decode_s=0.276), [stages()])
    assert found.stage == "VAE decode"
    assert found.change == pytest.approx(0.38)
    assert found.added_share == pytest.approx(1.0)


def test_stages_are_held_against_the_machine_of_today() -> None:
    everything = StageTimes(1.5, 0.15, (0.3, 0.3, 0.3), 0.075, 0.3)
    assert grown(stages(everything), [stages()], scale=1.5) == ()


def test_a_machine_that_is_slower_hides_no_stage() -> None:
    now = StageTimes(1.7, 0.15, (0.3, 0.3, 0.3), 0.075, 0.5)
    (found,) = grown(stages(now), [stages()], scale=1.5)
    assert found.stage == "VAE decode"


def test_what_is_faster_explains_nothing() -> None:
    assert grown(slower(decode_s=0.1), [stages()]) == ()


def test_a_failing_verdict_says_what_grew() -> None:
    verdict = latency_verdict(Outcome.REGRESSED, change=0.08)
    measured = replace(measurement(), stages=slower(decode_s=0.276))
    said = describe(explained(verdict, measured, [(latency_samples(), stages())]))
    assert said.endswith("VAE decode +38%, rest unchanged")
    assert explained(verdict, measurement(), [(latency_samples(), stages())]) == verdict
    assert explained(verdict, measured, []) == verdict
