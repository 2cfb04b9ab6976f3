from __future__ import annotations

import math

import numpy as np
import pytest

from perfsuite.judge.counters import (
    COMPILE_SPREAD,
    between_arms,
    judge_compile,
    judge_count,
    judge_memory,
    judge_references,
    judge_same_images,
)
from perfsuite.judge.images import judge_images
from perfsuite.report.messages import say_all
from perfsuite.results.images import Thresholds
from perfsuite.results.picture_reasons import AgainstControl, ControlAtFault, ImageFaults
from perfsuite.results.reasons import CountChanged, MemoryUnknown
from perfsuite.results.verdict import Metric, Outcome, gravest
from tests.unit.ab_samples import damage, images_verdict

GIB = 1 << 30


def test_a_regression_outweighs_everything_else() -> None:
    outcomes = (Outcome.PASSED, Outcome.REGRESSED, Outcome.INVALID, Outcome.IMPROVED)
    assert gravest(outcomes) is Outcome.REGRESSED
    assert gravest(()) is None


@pytest.mark.parametrize(
    ("treatment", "outcome"),
    [
        ((GIB, GIB), Outcome.PASSED),
        ((GIB * 1.04, GIB * 1.04), Outcome.PASSED),
        ((GIB * 1.2, GIB * 1.2), Outcome.REGRESSED),
        ((GIB * 0.8, GIB * 0.8), Outcome.IMPROVED),
        ((GIB, GIB * 1.4), Outcome.PASSED),
    ],
)
def test_memory_has_to_have_grown_in_every_start(
    treatment: tuple[float, ...], outcome: Outcome
) -> None:
    verdict = judge_memory([GIB, GIB], [int(each) for each in treatment], 0.05)
    assert verdict.outcome is outcome


def test_some_mebibytes_more_are_the_allocators() -> None:
    assert judge_memory([64 << 20], [72 << 20], 0.05).outcome is Outcome.PASSED


def test_memory_that_nobody_could_measure_does_not_pass() -> None:
    verdict = judge_memory([None, None], [GIB, GIB], 0.05)
    assert (verdict.outcome, verdict.reasons) == (Outcome.INCONCLUSIVE, (MemoryUnknown(),))


def test_compile_time_that_grows_by_half_is_seen_in_three_starts_and_doubled_in_one() -> None:
    alpha = 0.01 / 12
    assert judge_compile(Metric.WARM_COMPILE, [10] * 3, [15] * 3, alpha).outcome is (
        Outcome.REGRESSED
    )
    assert judge_compile(Metric.COLD_COMPILE, [10], [20], alpha).outcome is Outcome.REGRESSED
    assert judge_compile(Metric.COLD_COMPILE, [10], [13], alpha).outcome is Outcome.PASSED
    assert judge_compile(Metric.COLD_COMPILE, [10], [4], alpha).outcome is Outcome.IMPROVED


def test_equal_compile_times_raise_alarms_less_often_than_the_level() -> None:
    generator = np.random.default_rng(1)
    alarms = 0
    for _ in range(2000):
        old, new = np.exp(generator.normal(math.log(30), COMPILE_SPREAD, (2, 1)))
        verdict = judge_compile(Metric.COLD_COMPILE, [float(old[0])], [float(new[0])], 0.05)
        alarms += verdict.outcome is Outcome.REGRESSED
    # Three standard errors of 0.05 among 2000 are 0.015.
    assert alarms / 2000 <= 0.05 + 0.015


def test_counters_have_to_be_equal() -> None:
    more = judge_count(Metric.GRAPH_BREAKS, [0, 0], [0, 2])
    changed = CountChanged("graph breaks", 0, 2)
    assert (more.outcome, more.reasons) == (Outcome.REGRESSED, (changed,))
    assert say_all(more.reasons) == "graph breaks: 0 before, 2 now"
    assert judge_count(Metric.RECOMPILES, [1], [1]).outcome is Outcome.PASSED
    assert judge_count(Metric.RECOMPILES, [1], [0]).outcome is Outcome.IMPROVED


def test_images_that_the_control_gets_wrong_too_are_not_the_treatments_fault() -> None:
    black = ImageFaults(("the image is black",), "A fox in the snow", 1)
    good = images_verdict()
    bad = images_verdict(Outcome.REGRESSED, black)
    assert judge_references(good, good).outcome is Outcome.PASSED
    assert judge_references(good, bad).outcome is Outcome.REGRESSED
    control_at_fault = judge_references(bad, bad)
    assert control_at_fault.outcome is Outcome.INVALID
    assert control_at_fault.reasons == (ControlAtFault(black),)
    assert say_all(control_at_fault.reasons).startswith(
        "the control's own images are at fault: the image is black"
    )


def test_images_against_the_control_pass_their_verdict_on() -> None:
    verdict = images_verdict(Outcome.REGRESSED, damage(0.4), worst_ssim=0.4)
    judged = judge_same_images(verdict)
    assert (judged.metric, judged.outcome) == (Metric.SAME_IMAGES, Outcome.REGRESSED)
    assert judged.reasons == (AgainstControl(damage(0.4)),)
    assert say_all(judged.reasons).startswith(
        "images against the control's: damage: worst SSIM 0.40000"
    )
    assert verdict.images is not None
    assert judged.measured == verdict.images.worst.ssim == 0.4


def test_images_that_are_missing_are_said_to_be() -> None:
    nothing = judge_images((), Thresholds("row", worst_ssim=0.9))
    assert judge_same_images(nothing).outcome is Outcome.REGRESSED
    assert "there were no images to check" in say_all(judge_same_images(nothing).reasons)
    control_at_fault = judge_references(nothing, images_verdict())
    assert control_at_fault.outcome is Outcome.INVALID
    assert "there were no images to check" in say_all(control_at_fault.reasons)


def test_between_arms_the_squares_of_two_errors_add_up() -> None:
    thresholds = between_arms(
        Thresholds("row", worst_ssim=0.99, worst_psnr_db=40.0, mean_ssim=None)
    )
    assert thresholds.worst_ssim == pytest.approx(0.98)
    assert thresholds.worst_psnr_db == pytest.approx(36.99, abs=0.01)
    assert thresholds.mean_ssim is None
    assert "row" in thresholds.source
