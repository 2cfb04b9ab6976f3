"""Thresholds from evidence, and the file that keeps them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from perfsuite.errors import CalibrationError
from perfsuite.images.calibration import (
    LEEWAY,
    calibrate_layers,
    calibrate_tier,
    calibration_path,
    load_calibration,
    median_threshold,
    save_tier,
)
from perfsuite.judge.images import judge_images
from perfsuite.report.messages import say_all
from perfsuite.results.images import Calibration, ImageScore, LayerScore
from perfsuite.results.machine import Environment, Hardware
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.picture_reasons import ThresholdsMissed
from perfsuite.results.verdict import Outcome
from perfsuite.session.calibrate import widened
from perfsuite.storage import write_json
from perfsuite.workload import Asked, Workload

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


def test_healthy_images_pass_the_thresholds_that_others_of_them_set() -> None:
    thresholds = calibrate_tier(healthy(48), OTHERS, 12).thresholds
    for seed in range(1, 200):
        verdict = judge_images(tuple(healthy(12, seed)), thresholds)
        assert verdict.outcome is Outcome.PASSED, (seed, say_all(verdict.reasons))


def test_errors_three_times_as_large_fail_them() -> None:
    thresholds = calibrate_tier(healthy(48), OTHERS, 12).thresholds
    for seed in range(1, 50):
        worse = tuple(
            dataclasses.replace(score, psnr_db=(score.psnr_db or 0) - 5)
            for score in healthy(12, seed)
        )
        assert judge_images(worse, thresholds).outcome is Outcome.REGRESSED


def test_the_evidence_stands_beside_the_thresholds() -> None:
    found = calibrate_tier(healthy(48), OTHERS, 12)
    assert found.images == 48
    assert found.ssim.worst < found.ssim.mean < found.ssim.best
    assert found.ssim.other_seed == pytest.approx(0.8)
    assert found.psnr_db.other_seed == pytest.approx(22)
    assert found.thresholds.worst_ssim is not None
    assert found.ssim.other_seed < found.thresholds.worst_ssim < found.ssim.worst


def test_a_median_threshold_is_never_nearer_than_the_leeway_beyond_the_median() -> None:
    assert median_threshold([1e-3] * 20, 12) == pytest.approx(LEEWAY * 1e-3)


def test_an_image_that_rounding_sends_elsewhere_does_not_move_the_medians_threshold() -> None:
    errors = [1 - (score.ssim or 0) for score in healthy(48)]
    assert median_threshold([*errors[1:], 0.05], 12) == pytest.approx(
        median_threshold(errors, 12), rel=0.05
    )


def test_two_strays_pass_and_another_seed_does_not() -> None:
    thresholds = calibrate_tier(healthy(48), OTHERS, 12).thresholds
    strays = (ImageScore("a fox", 0, 0.95, 26.0, 0.01, 0.98),) * 2
    assert judge_images((*healthy(10, 1), *strays), thresholds).outcome is Outcome.PASSED
    assert judge_images((*healthy(11, 1), OTHERS[1]), thresholds).outcome is Outcome.REGRESSED


def test_a_fault_that_moves_every_image_a_little_misses_the_medians_threshold() -> None:
    thresholds = calibrate_tier(healthy(48), OTHERS, 12).thresholds
    moved = tuple(
        dataclasses.replace(score, psnr_db=(score.psnr_db or 0) - 5) for score in healthy(12, 1)
    )
    verdict = judge_images(moved, thresholds)
    assert verdict.outcome is Outcome.REGRESSED
    (reason,) = verdict.reasons
    assert isinstance(reason, ThresholdsMissed)
    assert "median_psnr_db" in [each.metric for each in reason.missed]
    assert "median PSNR" in say_all(verdict.reasons)


def test_a_tier_that_is_as_far_off_as_another_seed_cannot_be_calibrated() -> None:
    lost = ImageScore("a fox", 0, 0.75, 21.0, 0.1, 0.85)
    with pytest.raises(CalibrationError, match="as far from its reference as another seed's"):
        calibrate_tier([*healthy(12), lost], OTHERS, 12)


def test_an_image_that_cannot_be_scored_stops_the_calibration() -> None:
    broken = ImageScore("a fox", 3, None, None, faults=("black",))
    with pytest.raises(CalibrationError, match="'a fox', seed 3, cannot be scored: fix the tier"):
        calibrate_tier([*healthy(5), broken], OTHERS, 12)


def test_equal_images_can_be_calibrated() -> None:
    equal = [ImageScore("a fox", n, 1.0, None, 0.0, 1.0) for n in range(4)]
    thresholds = calibrate_tier(equal, OTHERS, 12).thresholds
    assert judge_images(tuple(equal), thresholds).outcome is Outcome.PASSED


def test_few_images_do_not_let_another_seed_pass() -> None:
    thresholds = calibrate_tier(healthy(2), OTHERS, 12).thresholds
    for other in OTHERS:
        assert judge_images((other,), thresholds).outcome is Outcome.REGRESSED
    assert thresholds.worst_ssim == pytest.approx(0.9)


def test_layer_thresholds_leave_leeway_to_the_worst_layer() -> None:
    thresholds = calibrate_layers([LayerScore("a", 0.01, 1.001), LayerScore("b", 0.02, 0.999)])
    assert thresholds.relative_error == pytest.approx(0.026)
    assert thresholds.gain_error == pytest.approx(0.002)


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
    asked = Asked("pocket")
    return load_calibration(
        path, checkpoint="pocket", identity="sha256:1", workload=WORKLOAD, asked=asked
    )


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = load(stored(tmp_path))
    assert found is not None
    assert found.thresholds("bf16") is not None
    assert found.thresholds("int8") is None
    assert found.layer_thresholds("bf16") is None


def test_no_file_is_no_calibration_and_no_error(tmp_path: Path) -> None:
    assert load(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"identity": "sha256:2"}, "for weights sha256:2, this is sha256:1"),
        ({"workload": "0" * 12}, "for workload 000000000000"),
        ({"schema": 99}, "schema 99"),
    ],
)
def test_thresholds_of_something_else_are_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(CalibrationError, match=said):
        load(stored(tmp_path, **changes))


def test_a_damaged_file_is_refused_with_its_path_and_the_hint(tmp_path: Path) -> None:
    path = stored(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CalibrationError, match=r"pocket\.json.*perfsuite calibrate-quality pocket"):
        load(path)


def test_thresholds_lie_under_the_hardwares_key_where_references_do() -> None:
    assert calibration_path(Path("b"), "sdxl", "a100") == Path("b/a100/quality/sdxl.json")


def test_what_another_session_has_calibrated_meanwhile_stays(tmp_path: Path) -> None:
    path = stored(tmp_path)
    mine = load(path)
    assert mine is not None
    measured = mine.tiers["bf16"]
    save_tier(path, mine, "sdpa", measured)  # another session, which began before this one
    assert set(save_tier(path, mine, "int8", measured).tiers) == {"bf16", "sdpa", "int8"}
    found = load(path)
    assert found is not None
    assert set(found.tiers) == {"bf16", "sdpa", "int8"}


@pytest.mark.parametrize("damaged", [False, True])
def test_thresholds_of_other_weights_and_damaged_ones_make_room(
    damaged: bool, tmp_path: Path
) -> None:
    path = stored(tmp_path)
    mine = load(path)
    assert mine is not None
    other = dataclasses.replace(mine, identity="sha256:2")
    write_json(path, other)
    if damaged:
        path.write_bytes(path.read_bytes()[:100])
    assert set(save_tier(path, mine, "int8", mine.tiers["bf16"]).tiers) == {"bf16", "int8"}
    assert load(path) is not None
