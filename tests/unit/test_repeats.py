"""Healthy tiers on fresh seeds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from perfsuite.errors import CalibrationError
from perfsuite.judge.images import judge_images
from perfsuite.ladder import find_tiers
from perfsuite.results.images import ImageScore, Thresholds
from perfsuite.selftest.quality import repeats
from perfsuite.selftest.quality.repeats import Repeat, repeat_tiers, summary
from perfsuite.workload import Asked, Workload

THRESHOLDS = Thresholds("calibrated", worst_ssim=0.99)
WORKLOAD = Workload(("a fox", "a cat"), (0, 1), 2, 5.0, 64, 64)


def score(ssim: float, seed: int = 0) -> ImageScore:
    return ImageScore("a fox", seed, ssim, 50.0, 0.0, 1.0)


def a_run(calibration: Any) -> Any:
    return SimpleNamespace(
        calibration=calibration,
        checkpoint=SimpleNamespace(name="pocket"),
        asked=Asked("pocket"),
        work=SimpleNamespace(quality=WORKLOAD),
        tiers=find_tiers(["fp32", "bf16"]),
    )


def test_without_thresholds_the_command_is_named() -> None:
    with pytest.raises(CalibrationError, match="perfsuite calibrate-quality pocket"):
        next(repeat_tiers(a_run(None), 1, print, lambda *_: None))


def test_every_set_has_seeds_of_its_own_and_is_judged_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def scores(run: Any, tier: Any, workload: Workload, *_: Any) -> tuple[ImageScore, ...]:
        return tuple(score(0.5 if shot.seed == 1003 else 1, shot.seed) for shot in workload.shots())

    monkeypatch.setattr(repeats, "make_references", lambda *_: ())
    monkeypatch.setattr(repeats, "references_of", lambda *_: None)
    monkeypatch.setattr(repeats, "score_tier", scores)
    monkeypatch.setattr(repeats, "CHUNK", 2)
    calibration = SimpleNamespace(thresholds=lambda tier: THRESHOLDS)
    done = list(repeat_tiers(a_run(calibration), 3, lambda _: None, lambda *_: None))
    assert [each.seeds for each in done] == [(1000, 1001), (1002, 1003), (1004, 1005)]
    assert [each.passed for each in done] == [True, False, True]
    verdicts = [each.verdict.images for each in done]
    assert [len(images.scores) for images in verdicts if images is not None] == [4, 4, 4]


def test_repeats_that_were_made_before_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "make_references", lambda *_: ())
    monkeypatch.setattr(repeats, "references_of", lambda *_: None)
    monkeypatch.setattr(
        repeats, "score_tier", lambda run, tier, work, *_: [score(1, s.seed) for s in work.shots()]
    )
    run = a_run(SimpleNamespace(thresholds=lambda tier: THRESHOLDS))
    done = repeat_tiers(run, 2, lambda _: None, lambda *_: None, after=3)
    assert [each.seeds for each in done] == [(1006, 1007), (1008, 1009)]


def test_the_summary_counts_and_names_what_failed() -> None:
    done = (
        Repeat("bf16", (1000, 1001), judge_images((score(0.999),), THRESHOLDS)),
        Repeat("bf16", (1002, 1003), judge_images((score(0.98),), THRESHOLDS)),
    )
    (line,) = summary(done)
    assert line.startswith(
        "bf16: 1 of 2 repeats passed, nearest to a threshold: worst SSIM 0.98000"
    )
    assert "failed with seeds (1002, 1003)" in line
