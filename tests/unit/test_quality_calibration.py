"""Thresholds from evidence, and the file that keeps them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from perfsuite.environment import Environment, Hardware
from perfsuite.errors import CalibrationError
from perfsuite.judge import Outcome
from perfsuite.judge.images import ImageScore, judge_scores
from perfsuite.quality.calibrate import widened
from perfsuite.quality.calibration import (
    LEEWAY,
    SCHEMA,
    Calibration,
    calibrate_layers,
    calibrate_tier,
    calibration_path,
    geometric_mean_bar,
    load_calibration,
    mean_bar,
    median_bar,
    worst_bar,
)
from perfsuite.quality.layers import LayerScore
from perfsuite.storage import write_json
from perfsuite.workload import Workload

WORKLOAD = Workload(("a fox", "a cat"), (0, 1), 2, 5.0, 64, 64)
ENVIRONMENT = Environment(Hardware("cpu", "a CPU"), {}, "3.11", "Linux", None, 1, "2026-01-01")


def healthy(count: int, seed: int = 0) -> list[ImageScore]:
    """Scores whose errors are log-normal, as those of real tiers are."""
    random = np.random.default_rng(seed)
    error = (10 ** random.normal(-3.3, 0.15, count)).tolist()
    noise = random.normal(50, 1.5, count).tolist()
    cosine = (10 ** random.normal(-4.5, 0.1, count)).tolist()
    return [
        ImageScore("a fox", n, 1 - error[n], noise[n], 0.001, 1 - cosine[n]) for n in range(count)
    ]


OTHERS = [ImageScore("a fox", 9, 0.7, 20.0, 0.1, 0.8), ImageScore("a fox", 8, 0.8, 22.0, 0.1, 0.9)]


def test_healthy_images_pass_the_bars_that_others_of_them_set() -> None:
    bars = calibrate_tier(healthy(48), OTHERS, 12).bars
    for seed in range(1, 200):
        verdict = judge_scores(tuple(healthy(12, seed)), bars)
        assert verdict.outcome is Outcome.PASSED, (seed, verdict.reason)


def test_errors_three_times_as_large_fail_them() -> None:
    bars = calibrate_tier(healthy(48), OTHERS, 12).bars
    for seed in range(1, 50):
        worse = tuple(
            dataclasses.replace(score, psnr_db=(score.psnr_db or 0) - 5)
            for score in healthy(12, seed)
        )
        assert judge_scores(worse, bars).outcome is Outcome.REGRESSED


def test_the_evidence_stands_beside_the_bars() -> None:
    found = calibrate_tier(healthy(48), OTHERS, 12)
    assert found.images == 48
    assert found.ssim.worst < found.ssim.mean < found.ssim.best
    assert found.ssim.other_seed == pytest.approx(0.8)
    assert found.psnr_db.other_seed == pytest.approx(22)
    assert found.bars.worst_ssim is not None
    assert found.ssim.other_seed < found.bars.worst_ssim < found.ssim.worst


def test_a_bar_is_never_nearer_than_the_leeway_beyond_the_worst_error_seen() -> None:
    errors = [1e-3] * 20 + [1.001e-3]
    assert worst_bar(errors, 12) == pytest.approx(LEEWAY * 1.001e-3)
    assert mean_bar(errors, 12) >= LEEWAY * 1e-3
    assert geometric_mean_bar(errors, 12) >= LEEWAY * 1e-3


def test_an_image_that_rounding_sends_elsewhere_moves_the_worst_bar_and_not_the_medians() -> None:
    errors = [score.ssim or 0 for score in healthy(48)]
    errors = [1 - value for value in errors]
    strayed = [*errors[1:], 0.05]
    assert median_bar(strayed, 12) == pytest.approx(median_bar(errors, 12), rel=0.05)
    assert worst_bar(strayed, 12) > 2 * worst_bar(errors, 12)


def test_the_bound_covers_the_worst_of_a_run_as_often_as_it_says() -> None:
    """With a rate of 1e-4 per bar no failure is to be expected among 500 calibrations."""
    random = np.random.default_rng(0)
    failures = 0
    for _ in range(500):
        errors = (10 ** random.normal(-3, 0.2, 24)).tolist()
        failures += max(10 ** random.normal(-3, 0.2, 12)) > worst_bar(errors, 12)
    assert failures <= 1


def test_an_image_that_cannot_be_scored_stops_the_calibration() -> None:
    broken = ImageScore("a fox", 3, None, None, faults=("black",))
    with pytest.raises(CalibrationError, match="'a fox', seed 3, cannot be scored: mend the tier"):
        calibrate_tier([*healthy(5), broken], OTHERS, 12)


def test_equal_images_can_be_calibrated() -> None:
    equal = [ImageScore("a fox", n, 1.0, None, 0.0, 1.0) for n in range(4)]
    bars = calibrate_tier(equal, OTHERS, 12).bars
    assert judge_scores(tuple(equal), bars).outcome is Outcome.PASSED


def test_few_images_do_not_let_another_seed_pass() -> None:
    bars = calibrate_tier(healthy(2), OTHERS, 12).bars
    for other in OTHERS:
        assert judge_scores((other,), bars).outcome is Outcome.REGRESSED
    assert bars.worst_ssim == pytest.approx(0.9)


def test_layer_bars_leave_leeway_to_the_worst_layer() -> None:
    bars = calibrate_layers([LayerScore("a", 0.01, 1.001), LayerScore("b", 0.02, 0.999)])
    assert bars.relative_error == pytest.approx(0.026)
    assert bars.gain_error == pytest.approx(0.002)


def test_more_seeds_come_after_the_workloads_own() -> None:
    assert widened(dataclasses.replace(WORKLOAD, seeds=(5, 1)), 5).seeds == (5, 1, 0, 2, 3)
    assert widened(WORKLOAD, 2, first=100).seeds == (100, 101)


def stored(tmp_path: Path, **changes: object) -> Path:
    found = Calibration(
        SCHEMA,
        "pocket",
        "sha256:1",
        WORKLOAD.digest,
        (0, 1),
        ENVIRONMENT,
        {"bf16": calibrate_tier(healthy(4), OTHERS, 12)},
    )
    path = calibration_path(tmp_path, "pocket", None)
    write_json(path, dataclasses.replace(found, **changes))  # type: ignore[arg-type]
    return path


def load(path: Path) -> Calibration | None:
    return load_calibration(path, checkpoint="pocket", identity="sha256:1", workload=WORKLOAD)


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = load(stored(tmp_path))
    assert found is not None
    assert found.bars("bf16") is not None
    assert found.bars("int8") is None
    assert found.layer_bars("bf16") is None


def test_no_file_is_no_calibration_and_no_error(tmp_path: Path) -> None:
    assert load(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"identity": "sha256:2"}, "for weights sha256:2, this is sha256:1"),
        ({"workload": "0" * 12}, "for workload 000000000000"),
        ({"schema": SCHEMA + 1}, "schema"),
    ],
)
def test_thresholds_of_something_else_are_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(CalibrationError, match=said):
        load(stored(tmp_path, **changes))


def test_a_damaged_file_is_refused_with_its_path_and_the_mend(tmp_path: Path) -> None:
    path = stored(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CalibrationError, match=r"pocket\.json.*perfsuite calibrate-quality pocket"):
        load(path)


def test_thresholds_lie_under_the_hardwares_key_where_references_do() -> None:
    assert calibration_path(Path("b"), "sdxl", "a100") == Path("b/a100/quality/sdxl.json")
