"""From scores of paired pictures to a verdict on a method."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy import stats

from perfsuite.judge.pictures import FLOORS, PAIRS, check, judge_pictures, mean_interval
from perfsuite.report.messages import describe, say_all
from perfsuite.results.images import ImageScore
from perfsuite.results.method_reasons import (
    ContentUnscored,
    FloorsMissed,
    FloorsOpen,
    NotReproduced,
    TooFewPairs,
)
from perfsuite.results.picture_reasons import ImageFaults
from perfsuite.results.pictures import Comparison, Floor, PictureScore, Quality
from perfsuite.results.verdict import Metric, Outcome, Verdict

HEALTHY = {
    Quality.ASKED: 1.0,
    Quality.SHARPNESS: 0.2,
    Quality.GRAIN: 0.02,
    Quality.CONTRAST: 0.2,
    Quality.COLOUR: 0.3,
    Quality.BRIGHTNESS: 0.5,
}


def scores(pairs: int = PAIRS, **changed: float) -> tuple[PictureScore, ...]:
    values = HEALTHY | {Quality[name.upper()]: value for name, value in changed.items()}
    wobble = [1 + 0.01 * math.sin(number) for number in range(pairs)]
    return tuple(
        PictureScore(
            f"prompt {number // 4}",
            number % 4,
            {
                name: value if name is Quality.ASKED else value * factor
                for name, value in values.items()
            },
        )
        for number, factor in enumerate(wobble)
    )


def judged(own: tuple[PictureScore, ...], **given: object) -> Verdict:
    prompts = {each.prompt for each in own}
    diversity = {name: (0.5, 0.5 + 0.01 * len(name)) for name in prompts}
    reference = scores(len(own))
    return judge_pictures("fp32", own, reference, diversity, **given)  # type: ignore[arg-type]


def test_a_method_as_good_as_its_reference_passes_and_says_every_number() -> None:
    verdict = judged(scores())
    assert (verdict.metric, verdict.outcome) == (Metric.AS_GOOD, Outcome.PASSED)
    said = describe(verdict)
    assert "beside fp32's, 24 pairs" in said
    for quality in (*HEALTHY, Quality.DIVERSITY):
        assert quality.value in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("asked", 0.5),
        ("sharpness", 0.1),
        ("grain", 0.04),
        ("contrast", 0.4),
        ("colour", 0.1),
        ("brightness", 0.7),
    ],
)
def test_a_quality_that_is_lost_is_a_regression_that_names_it(name: str, value: float) -> None:
    verdict = judged(scores(PAIRS, **{name: value}))
    assert verdict.outcome is Outcome.REGRESSED
    (reason,) = verdict.reasons
    assert isinstance(reason, FloorsMissed)
    assert [each.floor.quality for each in reason.checks] == [Quality[name.upper()]]
    assert "asked for at" in say_all(verdict.reasons)


def test_seeds_that_all_give_one_picture_are_a_regression() -> None:
    own = scores()
    diversity = {f"prompt {n}": (0.1 + 0.001 * n, 0.5) for n in range(6)}
    verdict = judge_pictures("fp32", own, scores(), diversity)
    assert [each.floor.quality for each in verdict.reasons[0].checks] == [Quality.DIVERSITY]  # type: ignore[union-attr]


def test_pictures_that_are_not_paired_are_refused() -> None:
    own = scores()
    with pytest.raises(ValueError, match="pairs of prompt and seed"):
        judge_pictures("fp32", own, tuple(reversed(scores())), {})


def test_few_pictures_never_pass() -> None:
    verdict = judged(scores(12))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert TooFewPairs(12, PAIRS) in verdict.reasons


def test_what_lies_within_its_interval_is_open() -> None:
    own = tuple(
        replace(each, values=each.values | {Quality.ASKED: float(number % 4 > 0)})
        for number, each in enumerate(scores())
    )
    verdict = judged(own)  # 18 of 24: 53 to 90 %, around a floor of 70 %
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert isinstance(verdict.reasons[0], FloorsOpen)


def test_pictures_whose_content_nothing_scores_never_pass() -> None:
    def without(some: tuple[PictureScore, ...]) -> tuple[PictureScore, ...]:
        return tuple(
            replace(each, values={q: v for q, v in each.values.items() if q is not Quality.ASKED})
            for each in some
        )

    verdict = judge_pictures(
        "fp32", without(scores()), without(scores()), {}, unavailable=("CLIP is not there",)
    )
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons == (ContentUnscored(("CLIP is not there",)),)


def test_a_picture_that_is_visibly_at_fault_fails_whatever_the_others_are() -> None:
    own = (replace(scores()[0], values={}, faults=("the image is black",)), *scores()[1:])
    verdict = judged(own)
    assert verdict.reasons == (ImageFaults(("the image is black",), "prompt 0", 0),)


def test_a_number_that_is_none_is_broken() -> None:
    own = (
        replace(scores()[0], values=HEALTHY | {Quality.SHARPNESS: math.nan}),
        *scores()[1:],
    )
    assert judged(own).outcome is Outcome.REGRESSED


@pytest.mark.parametrize(
    ("psnr_db", "outcome"),
    [(None, Outcome.PASSED), (62.0, Outcome.PASSED), (31.0, Outcome.REGRESSED)],
)
def test_a_method_has_to_make_its_own_pictures_again(
    psnr_db: float | None, outcome: Outcome
) -> None:
    itself = (ImageScore("prompt 0", 0, 1.0, None), ImageScore("prompt 1", 3, 0.9, psnr_db))
    verdict = judged(scores(), itself=itself)
    assert verdict.outcome is outcome
    if outcome is Outcome.REGRESSED:
        assert verdict.reasons == (NotReproduced(31.0, 50.0, "prompt 1", 3),)


def test_a_picture_of_another_size_is_not_the_method_s_own() -> None:
    itself = (ImageScore("prompt 0", 0, None, None),)
    assert judged(scores(), itself=itself).outcome is Outcome.REGRESSED


def test_the_interval_of_a_mean_is_students() -> None:
    values = [0.1, 0.4, -0.2, 0.3]
    low, mean, high = mean_interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert mean == pytest.approx(0.15)


def test_the_interval_of_a_share_is_clopper_and_pearsons() -> None:
    floor = Floor(Quality.ASKED, Comparison.SHARE, low=0.7)
    found = check(floor, scores(), scores(), {})
    assert found is not None
    # All of n: the lower end is (0.025) to the power of 1 / n.
    assert found.interval == pytest.approx((0.025 ** (1 / 24), 1.0))


def test_every_quality_has_a_floor() -> None:
    assert {floor.quality for floor in FLOORS} == set(Quality)
