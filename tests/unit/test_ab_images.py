from __future__ import annotations

from dataclasses import replace

import numpy as np

from perfsuite.ab.images import ArmImages
from perfsuite.images.references import references_of
from perfsuite.judge.images import REFERENCE_THRESHOLDS
from perfsuite.ladder import find_tiers
from perfsuite.report.messages import say
from perfsuite.results.picture_reasons import ControlAtFault
from perfsuite.results.verdict import Metric, Outcome
from tests.unit.ab_samples import WORK, image

BF16 = replace(find_tiers(["bf16"])[0], min_ssim=0.99)
(FP32,) = find_tiers(["fp32"])
GOOD = image()
JUDGE = ArmImages(WORK, references_of([GOOD], WORK), None)
BLACK = replace(GOOD, pixels=np.zeros_like(GOOD.pixels))
BROKEN = replace(GOOD, latents=GOOD.latents * np.float32(np.nan), finite=False)


def test_images_like_their_references_pass() -> None:
    verdict = JUDGE.against_references(BF16, (GOOD,))
    assert verdict is not None
    assert verdict.outcome is Outcome.PASSED


def test_another_picture_is_a_regression() -> None:
    verdict = JUDGE.against_references(BF16, (replace(image(1), shot=GOOD.shot),))
    assert verdict is not None
    assert verdict.outcome is Outcome.REGRESSED


def test_without_references_only_the_arms_are_held_against_each_other() -> None:
    blind = ArmImages(WORK, None, None)
    assert blind.against_references(BF16, (GOOD,)) is None
    assert blind.against_each_other(BF16, (GOOD,), (GOOD,)).outcome is Outcome.PASSED
    assert blind.against_each_other(BF16, (GOOD,), (image(1),)).outcome is Outcome.REGRESSED


def test_a_tier_with_references_of_its_own_is_not_held_against_fp32() -> None:
    assert JUDGE.against_references(replace(BF16, reference="bf16"), (GOOD,)) is None


def test_a_broken_treatment_is_a_regression_and_a_broken_control_is_not() -> None:
    for bad in (BLACK, BROKEN):
        assert JUDGE.against_each_other(BF16, (GOOD,), (bad,)).outcome is Outcome.REGRESSED
        verdict = JUDGE.against_each_other(BF16, (bad,), (GOOD,))
        assert verdict.outcome is Outcome.INVALID
        assert verdict.metric is Metric.SAME_IMAGES
        (reason,) = verdict.reasons
        assert isinstance(reason, ControlAtFault)
        assert say(reason).startswith("the control's own images are at fault: ")
        assert verdict.images is not None
        assert verdict.images.worst.faults


def test_fp32_is_held_at_its_own_threshold() -> None:
    assert JUDGE.thresholds(FP32) is REFERENCE_THRESHOLDS
    assert JUDGE.thresholds(BF16).worst_ssim == BF16.min_ssim


def test_without_a_calibration_neither_comparison_is_judged_but_by_sight() -> None:
    lossy = replace(BF16, min_ssim=None)
    against_fp32 = JUDGE.against_references(lossy, (replace(image(1), shot=GOOD.shot),))
    assert against_fp32 is not None
    assert against_fp32.outcome is Outcome.NOT_CALIBRATED
    assert JUDGE.against_each_other(lossy, (GOOD,), (GOOD,)).outcome is Outcome.NOT_CALIBRATED
    assert JUDGE.against_each_other(lossy, (GOOD,), (BLACK,)).outcome is Outcome.REGRESSED
