"""How long a session takes, and what is left out: the aims' arithmetic by the planner itself."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from perfsuite.results.verdict import Metric
from perfsuite.schedule.forecast import Forecast, Sampling, ScoredImages
from perfsuite.schedule.gates import INSTALL_S, GateShape, bisection_s, trials
from perfsuite.schedule.paces import Assumptions, Pace, Paces, TierWork
from perfsuite.schedule.parts import Part, fitting

LADDER = ("fp32", "bf16", "sdpa", "compile", "fused-qkv", "int8")
COMPILED = LADDER[3:]
PUBLISHED = dict(zip(LADDER, (7.36, 4.63, 3.31, 2.54, 2.52, 2.43), strict=True))
WITH_EXACTNESS = LADDER[2:]
PLAIN = Assumptions(build_s=10.0, compile_s=100.0, exact_compile_s=50.0)


def paces(known: dict[str, Pace], assumed: Assumptions = PLAIN) -> Paces:
    ladder = tuple(TierWork(name, name in COMPILED, PUBLISHED[name]) for name in LADDER)
    return Paces(ladder, assumed, known)


def forecast(
    known: dict[str, Pace],
    assumed: Assumptions = PLAIN,
    exact: ScoredImages = ScoredImages(4, 4 / 30 / 4),  # noqa: B008
    *,
    makes_references: bool = False,
    held_apart: bool = False,
) -> Forecast:
    return Forecast(
        paces(known, assumed),
        Sampling(60.0),
        ScoredImages(12, 1.0),
        exact,
        makes_references,
        held_apart,
    )


def six_tiers() -> list[Part]:
    """The session in its order: what shares a pipeline stands together, and what is exact last."""
    kinds = (Metric.LATENCY, Metric.STRUCTURE, Metric.IMAGES)
    own = [Part(tier, metric) for tier in LADDER for metric in kinds]
    exact = [Part(tier, Metric.EXACTNESS) for tier in WITH_EXACTNESS]
    return [*own, *exact, Part("int8", Metric.LAYERS)]


# --- sampling


@pytest.mark.parametrize(
    ("image_s", "images"),
    [(25.0, 2 + 6), (2.5, 6 + 20), (0.01, 6 + 400)],
    ids=["fewer than fit", "what fits into the budget", "more would tell nothing"],
)
def test_samples_are_as_many_as_the_budget_holds_within_bounds(image_s: float, images: int) -> None:
    sampling = Sampling(60.0, probe_share=0.15)
    assert sampling.seconds(image_s) == pytest.approx(images * image_s * 1.15)


# --- paces


def test_nothing_is_predicted_from_nothing() -> None:
    assert not paces({}).is_founded
    with pytest.raises(ValueError, match="nothing is known"):
        paces({}).of("bf16")


def test_an_unknown_tier_is_as_much_faster_as_was_published() -> None:
    pace = paces({"fp32": Pace(10.0)}).of("bf16")
    assert pace.image_s == pytest.approx(10.0 * 4.63 / 7.36)
    assert (pace.build_s, pace.compile_s) == (10.0, 0.0)


def test_the_nearest_known_tier_counts() -> None:
    known = {"fp32": Pace(10.0), "sdpa": Pace(1.0)}
    assert paces(known).of("compile").image_s == pytest.approx(2.54 / 3.31)


def test_what_is_measured_here_takes_the_place_of_what_was_known() -> None:
    known = paces({"bf16": Pace(4.0, 20.0)}).knowing("bf16", Pace(2.0))
    assert known.of("bf16") == Pace(2.0, 20.0, 0.0)


def test_a_compiled_tier_is_expected_to_compile_as_long_as_the_last_one() -> None:
    before = paces({"fp32": Pace(10.0)})
    assert before.of("fused-qkv").compile_s == 100.0
    assert before.knowing("compile", Pace(2.0, 5.0, 700.0)).of("fused-qkv").compile_s == 700.0
    assert before.of("bf16").compile_s == 0.0


# --- parts


def test_a_pipeline_is_built_once_for_parts_that_follow_each_other() -> None:
    known = forecast({"fp32": Pace(1.0)})
    both = known.seconds([Part("fp32", Metric.LATENCY), Part("fp32", Metric.IMAGES)])
    apart = known.seconds([Part("fp32", Metric.LATENCY)]) + known.seconds(
        [Part("fp32", Metric.IMAGES)]
    )
    assert apart - both == pytest.approx(PLAIN.build_s)


def test_references_are_made_once_by_whoever_scores_first() -> None:
    parts = [Part("fp32", Metric.IMAGES), Part("bf16", Metric.IMAGES)]
    there = forecast({"fp32": Pace(2.0), "bf16": Pace(1.0)})
    missing = forecast(dict(there.paces.known), makes_references=True)
    assert missing.seconds(parts) - there.seconds(parts) == pytest.approx(13 * 2.0)
    alone = parts[1:]
    assert missing.seconds(alone) - there.seconds(alone) == pytest.approx(13 * 2.0 + 10.0)


def test_what_is_built_or_made_already_is_not_counted_again() -> None:
    parts = [Part("compile", Metric.IMAGES), Part("compile", Metric.EXACTNESS)]
    known = {"fp32": Pace(1.0), "compile": Pace(1.0, 10.0, 700.0)}
    before = forecast(known, makes_references=True, held_apart=True)
    under_way = before.begun(Part("compile", Metric.LATENCY))
    # 13 images of references with their build; the pipeline with its compilation.
    gone = 13 * 1.0 + 10.0 + 10.0 + 700.0
    assert before.seconds(parts) - under_way.seconds(parts) == pytest.approx(gone)
    assert under_way.begun(parts[1]).live is None
    assert not under_way.begun(parts[1]).held_apart


def test_a_test_of_no_tier_takes_no_time() -> None:
    assert forecast({"fp32": Pace(1.0)}).seconds([Part("", None), Part("gone", None)]) == 0


# --- limits


def of_ten_seconds(parts: Sequence[Part]) -> float:
    return 10.0 * len(parts)


def test_all_is_kept_where_there_is_time() -> None:
    assert fitting(six_tiers(), 1000.0, of_ten_seconds) == tuple(six_tiers())


def test_the_least_important_is_left_out_first_and_the_highest_rung_of_it() -> None:
    parts = six_tiers()
    gone = [part for part in parts if part not in fitting(parts, 210.0, of_ten_seconds)]
    assert gone == [Part("fused-qkv", Metric.EXACTNESS), Part("int8", Metric.EXACTNESS)]
    kept = fitting(parts, 60.0, of_ten_seconds)
    assert kept == tuple(Part(tier, Metric.LATENCY) for tier in LADDER)
    assert fitting(parts, 15.0, of_ten_seconds) == (Part("fp32", Metric.LATENCY),)


def test_a_test_with_assertions_of_its_own_is_never_left_out() -> None:
    own = Part("fp32", None)
    assert fitting([own, Part("fp32", Metric.LATENCY)], 0.0, of_ten_seconds) == (own,)


# --- the aims, by the seconds of the audit

A100 = dict(zip(LADDER, (25.0, 4.6, 3.3, 2.5, 2.5, 2.5), strict=True))
L4 = dict(zip(LADDER, (30.0, 11.0, 9.0, 7.5, 7.5, 7.5), strict=True))
"""Not measured: assumed from its peak rates beside the A100's."""


@pytest.mark.parametrize(
    ("image_s", "cold", "aim_min"),
    [(A100, False, 30), (A100, True, 100), (L4, False, 45)],
    ids=["A100 warm", "A100 cold", "L4 warm"],
)
def test_six_tiers_fit_into_the_aims(image_s: dict[str, float], cold: bool, aim_min: float) -> None:
    from perfsuite.session.timing import COLD_ACCELERATOR, WARM_ACCELERATOR

    known = {tier: Pace(seconds) for tier, seconds in image_s.items()}
    assumed = COLD_ACCELERATOR if cold else WARM_ACCELERATOR
    night = forecast(known, assumed=assumed, held_apart=True)
    assert night.seconds(six_tiers()) / 60 <= aim_min


def test_exactness_at_full_size_would_not_fit() -> None:
    from perfsuite.session.timing import COLD_ACCELERATOR

    known = {tier: Pace(seconds) for tier, seconds in A100.items()}
    slow = Assumptions(COLD_ACCELERATOR.build_s, 1200.0, 1200.0)
    night = forecast(known, assumed=slow, exact=ScoredImages(4, 1.0))
    assert night.seconds(six_tiers()) / 60 > 100


# --- gates and bisections


def gate(budget_s: float = 60.0, **changes: int) -> GateShape:
    return GateShape(blocks=4, budget_s=budget_s, fewest_pairs=6, most_pairs=400, **changes)


def test_the_fewest_pairs_can_ask_for_more_than_the_budget_and_how_much_is_known() -> None:
    assert gate().over_budget_s(0.1) == 0
    assert gate().sampling_s(0.1) == pytest.approx(60.0)
    assert gate().over_budget_s(2.5) == pytest.approx(4 * 6 * 5.0 - 60)
    assert gate().sampling_s(2.5) == pytest.approx(4 * 6 * 5.0)


def test_a_cold_gate_compiles_once_in_each_arm() -> None:
    cold, warm = Pace(2.5, 20.0, 1200.0), Pace(2.5, 20.0, 60.0)
    assert gate().tier_s(cold, 60.0) - gate().tier_s(warm, 60.0) == pytest.approx(2 * 1140)


@pytest.mark.parametrize(("versions", "gates"), [(2, 2), (3, 4), (5, 5), (9, 6), (65, 9)])
def test_a_bisection_halves_what_is_between(versions: int, gates: int) -> None:
    assert trials(versions) == gates


def test_a_compiled_bisection_of_two_months_of_nightlies_fits_into_600_minutes() -> None:
    pace = Pace(A100["compile"], 20.0, 1500.0)  # 25 minutes cold: the worst of the audit
    assert bisection_s(62, gate(), pace, 60.0, INSTALL_S) / 60 < 600


def test_a_gate_of_six_tiers_takes_hours_and_says_so() -> None:
    from perfsuite.session.timing import COLD_ACCELERATOR

    six = [
        Pace(A100[tier], 20.0, COLD_ACCELERATOR.compile_s if tier in COMPILED else 0.0)
        for tier in LADDER
    ]
    hours = sum(gate(scored_calls=12).tier_s(pace, 60.0) for pace in six) / 3600
    assert 3 < hours < 5
