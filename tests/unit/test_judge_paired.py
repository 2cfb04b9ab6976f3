from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from perfsuite.judge.paired import Block, compare, is_settled, judge_paired, seconds_to_settle
from perfsuite.report.messages import say_all
from perfsuite.results.policy import PairedPolicy
from perfsuite.results.reasons import MorePairs, RunsDiffer
from perfsuite.results.verdict import Metric, Outcome, Verdict

# Hypothesis draws the same examples every time: a gate must not be red by chance.
steadily = settings(max_examples=40, deadline=None, derandomize=True)

POLICY = PairedPolicy()
wobbles = st.floats(-0.05, 0.05)


@st.composite
def machine_blocks(draw: st.DrawFn) -> list[Block]:
    """Blocks as a machine makes them: samples within some per cent of each other."""
    drawn = draw(
        st.lists(
            st.lists(st.tuples(wobbles, wobbles), min_size=4, max_size=8), min_size=2, max_size=4
        )
    )
    return [
        Block(
            tuple(0.2 * math.exp(old) for old, _ in pairs),
            tuple(0.2 * math.exp(new) for _, new in pairs),
        )
        for pairs in drawn
    ]


def scaled(blocks: list[Block], control: float = 1.0, treatment: float = 1.0) -> list[Block]:
    return [
        Block(
            tuple(value * control for value in block.control_s),
            tuple(value * treatment for value in block.treatment_s),
            block.interleaved,
        )
        for block in blocks
    ]


def judged(blocks: list[Block], policy: PairedPolicy = POLICY) -> Verdict:
    return judge_paired(blocks, policy, spent_s=60)


def steady(ratio: float, pairs: int = 10, blocks: int = 2) -> list[Block]:
    """Arms without scatter, of that ratio."""
    return [Block((0.2,) * pairs, (0.2 * ratio,) * pairs) for _ in range(blocks)]


def simulated(
    generator: np.random.Generator,
    *,
    slowdown: float = 0.0,
    process: float = 0.008,
    scatter: float = 0.06,
    pairs: int = 20,
) -> Block:
    """One start of both arms whose log ratio is `slowdown`, as the docstrings assume it."""
    effect = math.log1p(slowdown) + generator.normal(0, process)
    ratios = np.exp(generator.normal(effect, scatter, pairs))
    return Block((0.2,) * pairs, tuple(float(0.2 * ratio) for ratio in ratios))


def gated(generator: np.random.Generator, policy: PairedPolicy, **how: float) -> Verdict:
    """What a gate says: blocks until it is settled."""
    blocks = [simulated(generator, **how)]  # type: ignore[arg-type]
    while len(blocks) < policy.blocks:
        blocks.append(simulated(generator, **how))  # type: ignore[arg-type]
        if is_settled(compare(blocks, policy), policy):
            break
    return judged(blocks, policy)


def shares(policy: PairedPolicy, gates: int, seed: int, **how: float) -> dict[Outcome, float]:
    generator = np.random.default_rng(seed)
    outcomes = [gated(generator, policy, **how).outcome for _ in range(gates)]
    return {each: outcomes.count(each) / gates for each in Outcome}


# --- what a verdict does not depend on


@steadily
@given(machine_blocks(), st.floats(0.8, 1.25), st.floats(0.001, 1000))
def test_a_machine_of_another_pace_gets_the_same_verdict(
    blocks: list[Block], slowdown: float, pace: float
) -> None:
    here = judged(scaled(blocks, treatment=slowdown))
    there = judged(scaled(blocks, control=pace, treatment=slowdown * pace))
    assert there.outcome is here.outcome
    assert there.change == pytest.approx(here.change, abs=1e-9)


@steadily
@given(machine_blocks())
def test_what_is_slower_one_way_is_as_much_faster_the_other_way(blocks: list[Block]) -> None:
    swapped = [Block(block.treatment_s, block.control_s) for block in blocks]
    one, other = compare(blocks, POLICY), compare(swapped, POLICY)
    assert other.estimate == pytest.approx(-one.estimate, abs=1e-12)
    assert other.error == pytest.approx(one.error)


@steadily
@given(machine_blocks())
def test_a_growing_slowdown_never_turns_a_regression_back(blocks: list[Block]) -> None:
    order = (Outcome.IMPROVED, Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.REGRESSED)
    factors = (0.3, 0.8, 0.93, 0.98, 1.0, 1.03, 1.06, 1.1, 1.2, 1.5, 4.0)
    outcomes = [judged(scaled(blocks, treatment=factor)).outcome for factor in factors]
    places = [order.index(outcome) for outcome in outcomes]
    assert places == sorted(places)
    assert outcomes[-1] is Outcome.REGRESSED


@steadily
@given(machine_blocks())
def test_a_treatment_whose_every_sample_is_faster_is_never_regressed(blocks: list[Block]) -> None:
    slowest = max(value for block in blocks for value in block.treatment_s)
    fastest = min(value for block in blocks for value in block.control_s)
    faster = scaled(blocks, treatment=0.99 * fastest / slowest)
    assert judged(faster).outcome is not Outcome.REGRESSED


@steadily
@given(machine_blocks(), st.floats(0.9, 1.2))
def test_the_interval_holds_the_change_and_only_a_slowdown_beyond_tolerance_regresses(
    blocks: list[Block], slowdown: float
) -> None:
    verdict = judged(scaled(blocks, treatment=slowdown))
    assert verdict.change is not None
    assert verdict.change_interval is not None
    low, high = verdict.change_interval
    assert low <= verdict.change <= high
    assume(verdict.outcome is Outcome.REGRESSED)
    assert verdict.change > 0.05


def test_a_drift_that_both_arms_share_changes_nothing() -> None:
    drift = np.linspace(1, 2, 12)
    blocks = [Block(tuple(0.2 * drift), tuple(0.2 * drift))] * 2
    assert judged(blocks).change == pytest.approx(0, abs=1e-12)


# --- what the verdicts promise


def test_equal_arms_raise_alarms_less_often_than_the_stated_rate() -> None:
    # A tolerance of nothing, so that only the test holds alarms back.
    policy = PairedPolicy(tolerance=1e-6, false_alarm_rate=0.2)
    rate = shares(policy, 600, seed=1)[Outcome.REGRESSED]
    # Three standard errors of 0.2 among 600 are 0.049. Far below it the looks would be too timid.
    assert 0.05 < rate < 0.2 + 0.049


def test_few_pairs_in_a_block_keep_the_stated_rate() -> None:
    policy = PairedPolicy(tolerance=1e-6, false_alarm_rate=0.2)
    rate = shares(policy, 600, seed=2, pairs=6)[Outcome.REGRESSED]
    assert rate < 0.2 + 0.049


def test_starts_that_differ_more_than_assumed_are_found_out() -> None:
    policy = PairedPolicy(false_alarm_rate=0.05)
    rate = shares(policy, 400, seed=3, process=0.02, scatter=0.02)[Outcome.REGRESSED]
    # Three standard errors of 0.05 among 400 are 0.033.
    assert rate < 0.05 + 0.033


def test_a_slowdown_of_the_tolerance_is_hardly_ever_settled_as_passed() -> None:
    policy = PairedPolicy(false_alarm_rate=0.05)
    found = shares(policy, 400, seed=4, slowdown=0.0501)
    # `passed` by power, at the last look, is for what is estimated below the tolerance: half.
    assert found[Outcome.PASSED] < 0.5


def test_twice_the_tolerance_is_found() -> None:
    found = shares(POLICY, 300, seed=5, slowdown=0.10, scatter=0.05, pairs=30)
    assert found[Outcome.REGRESSED] > 0.95
    assert found[Outcome.PASSED] == 0


def test_equal_arms_pass_on_a_calm_machine() -> None:
    found = shares(POLICY, 300, seed=6, scatter=0.05, pairs=30)
    assert found[Outcome.PASSED] > 0.95


def test_a_family_shares_its_rate() -> None:
    assert PairedPolicy(multiplicity=5).alpha == pytest.approx(0.002)
    assert PairedPolicy(multiplicity=5, blocks=5).look_alpha == pytest.approx(0.0005)


# --- the parts


def test_an_effect_is_the_median_of_paired_log_ratios() -> None:
    block = Block((1.0, 10.0, 1.0), (2.0, 40.0, 3.0))
    assert block.effect == pytest.approx(math.log(3))


def test_arms_in_turn_are_compared_by_their_medians_and_both_errors_count() -> None:
    control, treatment = (1.0, 1.1, 1.2), (2.2, 2.0, 2.4, 2.6, 2.8)
    block = Block(control, treatment, interleaved=False)
    assert block.effect == pytest.approx(math.log(2.4 / 1.1))
    alone = Block(control, (1.0,) * 3, interleaved=False).variance
    assert block.variance > alone > 0


def test_a_blocks_variance_agrees_with_the_spread_of_simulated_medians() -> None:
    generator = np.random.default_rng(7)
    blocks = [simulated(generator, process=0.0, pairs=41) for _ in range(800)]
    observed = float(np.var([block.effect for block in blocks]))
    stated: npt.NDArray[np.float64] = np.array([block.variance for block in blocks])
    assert float(stated.mean()) == pytest.approx(observed, rel=0.15)


def test_blocks_without_scatter_are_as_uncertain_as_starts_are_assumed_to_be() -> None:
    found = compare(steady(1.0, blocks=2), POLICY)
    # 4 assumed degrees of freedom and one observed, which saw no difference.
    assert found.error == pytest.approx(math.sqrt(0.008**2 * 4 / 5 / 2))
    assert found.degrees_of_freedom == pytest.approx(5)


def test_more_starts_make_it_more_certain() -> None:
    errors = [compare(steady(1.0, blocks=count), POLICY).error for count in (1, 2, 3, 4)]
    assert all(before > after for before, after in pairwise(errors))


@pytest.mark.parametrize(
    ("ratio", "settled"), [(1.0, True), (1.05, False), (1.06, False), (1.2, True)]
)
def test_it_is_settled_when_the_tolerance_is_out_of_the_question(
    ratio: float, settled: bool
) -> None:
    assert is_settled(compare(steady(ratio), POLICY), POLICY) is settled


def test_a_faster_treatment_is_improved() -> None:
    verdict = judged(steady(0.8))
    assert (verdict.metric, verdict.outcome) == (Metric.LATENCY, Outcome.IMPROVED)
    assert verdict.change == pytest.approx(-0.2)
    assert (verdict.expected, verdict.measured) == pytest.approx((0.2, 0.16))


def restless(pairs: int) -> list[Block]:
    ratios = np.exp(0.3 * np.sin(np.arange(pairs) * 1.7))
    return [Block((0.2,) * pairs, tuple(float(0.2 * each) for each in ratios))] * 4


def test_an_inconclusive_verdict_says_how_many_more_seconds_would_settle_it() -> None:
    verdict = judged(restless(20))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    (advice,) = verdict.reasons
    assert isinstance(advice, MorePairs)
    more_s = seconds_to_settle(compare(restless(20), POLICY), POLICY, spent_s=60)
    assert advice.more_s == more_s
    assert advice.budget_s == math.ceil(60 + advice.more_s) > 60
    assert "more seconds of sampling would settle it: " in say_all(verdict.reasons)


def test_as_many_seconds_as_were_advised_do_settle_it() -> None:
    more_s = seconds_to_settle(compare(restless(20), POLICY), POLICY, spent_s=60)
    assert more_s is not None
    assert judged(restless(math.ceil(20 * (1 + more_s / 60) * 1.05))).outcome is Outcome.PASSED
    assert judged(restless(math.ceil(20 * (1 + more_s / 60) * 0.5))).outcome is not Outcome.PASSED


def test_starts_that_differ_wildly_lead_to_the_advice_of_a_wider_tolerance() -> None:
    blocks = [*steady(1.0, blocks=1), *steady(1.3, blocks=1), *steady(0.8, blocks=1)]
    verdict = judged(blocks)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons == (RunsDiffer(0.05, "starts"),)
    assert say_all(verdict.reasons).endswith("tolerance 0.1")


@pytest.mark.parametrize(
    ("control", "treatment", "complaint"),
    [
        ((), (), "no samples"),
        ((1.0,), (1.0, 1.0), "1 samples with 2"),
        ((1.0,), (0.0,), "not a latency"),
        ((math.nan,), (1.0,), "not a latency"),
    ],
)
def test_what_is_no_sample_is_refused(
    control: tuple[float, ...], treatment: tuple[float, ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Block(control, treatment)
