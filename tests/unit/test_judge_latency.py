from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from perfsuite.judge.baseline import compare, mismatch
from perfsuite.judge.latency import decide, without_baseline
from perfsuite.judge.power import is_settled, rounds_wanted, wanted_error
from perfsuite.judge.variance import (
    Spread,
    between_run_spread,
    log_latency,
    median_interval,
    sampling_error,
    steadier_spread,
)
from perfsuite.report.messages import say_all
from perfsuite.results.policy import Assumption, Policy
from perfsuite.results.reasons import (
    AssumedSpread,
    FasterThanBaseline,
    Incomparable,
    NoBaseline,
    Reason,
    RunsDiffer,
    SamplesScatter,
    ShortBaselineRuns,
    TooFewRuns,
)
from perfsuite.results.samples import LatencySamples
from perfsuite.results.verdict import Basis, Metric, Outcome, Verdict
from tests.unit.samples import latency_samples, quiet_run

# Hypothesis draws the same examples every time: a gate must not be red by chance.
steadily = settings(max_examples=40, deadline=None, derandomize=True)

DEFAULT = Policy()
seconds = st.floats(0.01, 10.0)


@st.composite
def runs(draw: st.DrawFn) -> LatencySamples:
    pairs = draw(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=5))
    return LatencySamples(
        tuple(sample for sample, _ in pairs), tuple(probe for _, probe in pairs), "v1"
    )


@st.composite
def machine_runs(draw: st.DrawFn) -> LatencySamples:
    """A run as a machine makes it: samples within some per cent of each other."""
    wobbles = st.floats(-0.03, 0.03)
    pairs = draw(st.lists(st.tuples(wobbles, wobbles), min_size=3, max_size=5))
    return LatencySamples(
        tuple(0.2 * math.exp(sample) for sample, _ in pairs),
        tuple(0.03 * math.exp(probe) for _, probe in pairs),
        "v1",
    )


baselines = st.lists(machine_runs(), min_size=1, max_size=4)


def judged(
    new: LatencySamples, baseline: Sequence[LatencySamples], policy: Policy = DEFAULT
) -> Verdict:
    return decide(compare(new, baseline, between_run_spread([baseline], policy.assumed)), policy)


def only_reason(verdict: Verdict) -> Reason:
    (reason,) = verdict.reasons
    return reason


def scaled(run: LatencySamples, *, tier: float = 1.0, probe: float = 1.0) -> LatencySamples:
    return LatencySamples(
        tuple(sample * tier for sample in run.samples_s),
        tuple(sample * probe for sample in run.probe_s),
        run.probe,
    )


# --- what a verdict does not depend on


@steadily
@given(machine_runs(), baselines, st.floats(0.8, 1.25), st.floats(0.001, 1000))
def test_a_machine_of_another_pace_gets_the_same_verdict(
    new: LatencySamples, baseline: list[LatencySamples], slowdown: float, pace: float
) -> None:
    new = scaled(new, tier=slowdown)
    here = judged(new, baseline)
    there = judged(scaled(new, tier=pace), [scaled(run, tier=pace) for run in baseline])
    assert there.outcome is here.outcome
    assert there.change == pytest.approx(here.change, abs=1e-9)


@steadily
@given(machine_runs(), baselines, st.floats(0.8, 1.25), st.floats(0.001, 1000))
def test_a_probe_of_another_size_gets_the_same_verdict(
    new: LatencySamples, baseline: list[LatencySamples], slowdown: float, size: float
) -> None:
    new = scaled(new, tier=slowdown)
    here = judged(new, baseline)
    there = judged(scaled(new, probe=size), [scaled(run, probe=size) for run in baseline])
    assert there.outcome is here.outcome
    assert there.change == pytest.approx(here.change, abs=1e-9)


def test_a_machine_that_is_slower_today_in_tier_and_probe_alike_changes_nothing() -> None:
    usual = latency_samples((0.2, 0.21, 0.19))
    today = scaled(usual, tier=1.5, probe=1.5)
    assert judged(today, [usual] * 5).change == pytest.approx(0, abs=1e-12)


@steadily
@given(machine_runs(), baselines)
def test_a_growing_slowdown_never_turns_a_regression_back(
    new: LatencySamples, baseline: list[LatencySamples]
) -> None:
    order = (Outcome.IMPROVED, Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.REGRESSED)
    factors = (0.5, 0.9, 0.98, 1.0, 1.03, 1.06, 1.1, 1.2, 1.5, 3.0)
    outcomes = [judged(scaled(new, tier=factor), baseline).outcome for factor in factors]
    places = [order.index(outcome) for outcome in outcomes]
    assert places == sorted(places)
    assert outcomes[-1] is Outcome.REGRESSED


@steadily
@given(runs(), st.lists(runs(), min_size=1, max_size=4))
def test_a_run_that_is_faster_than_every_recorded_sample_is_never_regressed(
    new: LatencySamples, baseline: list[LatencySamples]
) -> None:
    slowest_new = max(s / c for s, c in zip(new.samples_s, new.probe_s, strict=True))
    fastest_old = min(
        s / c for run in baseline for s, c in zip(run.samples_s, run.probe_s, strict=True)
    )
    faster = scaled(new, tier=0.99 * fastest_old / slowest_new)
    assert judged(faster, baseline).outcome is not Outcome.REGRESSED


@steadily
@given(machine_runs(), baselines, st.floats(0.9, 1.2))
def test_the_interval_holds_the_change_and_only_a_slowdown_beyond_tolerance_regresses(
    new: LatencySamples, baseline: list[LatencySamples], slowdown: float
) -> None:
    verdict = judged(scaled(new, tier=slowdown), baseline)
    assert verdict.change is not None
    assert verdict.change_interval is not None
    low, high = verdict.change_interval
    assert low <= verdict.change <= high
    assume(verdict.outcome is Outcome.REGRESSED)
    assert verdict.change > 0.05


# --- what the verdicts promise


SPREAD = 0.03


def false_alarms(policy: Policy, baseline_runs: int, families: int, seed: int) -> float:
    """Share of families of unchanged tiers of which any is called regressed."""
    generator = np.random.default_rng(seed)
    alarms = 0
    for _ in range(families):
        draws = generator.normal(0, SPREAD, (policy.multiplicity, baseline_runs + 1))
        tiers = [[quiet_run(value, rounds=1) for value in row] for row in draws]
        spread = between_run_spread([row[1:] for row in tiers], policy.assumed)
        alarms += any(
            decide(compare(row[0], row[1:], spread), policy).outcome is Outcome.REGRESSED
            for row in tiers
        )
    return alarms / families


def test_unchanged_code_raises_family_wise_alarms_at_the_stated_rate() -> None:
    # The tolerance stays out of the way: its log is 0.0688, and the threshold, 2.05 errors, is
    # 0.0711.
    policy = Policy(0.0712, 0.1, multiplicity=5, assumed=Assumption(SPREAD, 10**6))
    rate = false_alarms(policy, baseline_runs=3, families=500, seed=1)
    # 1 - (1 - 0.1 / 5) ** 5 = 0.096; three standard errors of it are 0.04.
    assert rate == pytest.approx(0.096, abs=0.04)


def test_a_spread_that_is_only_estimated_keeps_the_stated_rate() -> None:
    policy = Policy(1e-9, 0.3, multiplicity=1, assumed=Assumption(SPREAD, 0))
    rate = false_alarms(policy, baseline_runs=4, families=250, seed=2)
    # Three standard errors are 0.087.
    assert rate == pytest.approx(0.3, abs=0.087)


def test_slowdowns_within_a_wide_tolerance_raise_no_alarm() -> None:
    policy = Policy(0.3, 0.1, multiplicity=5, assumed=Assumption(SPREAD, 10**6))
    assert false_alarms(policy, baseline_runs=3, families=60, seed=3) == 0


@pytest.mark.parametrize("tolerance", [0.02, 0.12])
def test_the_minimum_detectable_effect_is_called_so_in_95_percent(
    tolerance: float,
) -> None:
    policy = Policy(tolerance, multiplicity=5, assumed=Assumption(SPREAD, 10**6))
    spread = Spread(SPREAD, 10**6, 0.0)
    generator = np.random.default_rng(4)
    visible = decide(
        compare(quiet_run(0), [quiet_run(0)] * 4, spread), policy
    ).minimum_detectable_effect
    assert visible is not None
    seen = []
    for _ in range(1200):
        *old, new = generator.normal(0, SPREAD, 5)
        baseline = [quiet_run(value, rounds=1) for value in old]
        slower = quiet_run(new + math.log1p(visible), rounds=1)
        outcome = decide(compare(slower, baseline, spread), policy).outcome
        seen.append(outcome is Outcome.REGRESSED)
    # Three standard errors of a share of 0.95 among 1200 are 0.019.
    assert np.mean(seen) == pytest.approx(0.95, abs=0.019)


def test_more_baseline_runs_see_smaller_slowdowns() -> None:
    visible = [
        judged(
            quiet_run(0), [quiet_run(0.01 * (-1) ** n) for n in range(runs)]
        ).minimum_detectable_effect
        for runs in (1, 2, 4, 8, 16)
    ]
    assert all(a is not None and b is not None and a > b for a, b in pairwise(visible))


def test_five_calm_runs_pass_an_unchanged_tier() -> None:
    verdict = judged(quiet_run(0.001), [quiet_run(v) for v in (0, 0.002, -0.002, 0.001, -0.001)])
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASSED, ())
    assert verdict.minimum_detectable_effect is not None
    assert verdict.minimum_detectable_effect <= 2 * 0.05


def test_one_baseline_run_is_inconclusive_with_a_wide_interval() -> None:
    calm = [quiet_run(v) for v in (0, 0.001, -0.001, 0.002, 0)]
    one, five = judged(quiet_run(0), calm[:1]), judged(quiet_run(0), calm)
    assert one.outcome is Outcome.INCONCLUSIVE
    assert isinstance(only_reason(one), TooFewRuns)
    said = say_all(one.reasons)
    assert said.startswith("one baseline run is too few to settle it: perfsuite record")
    assert one.change_interval is not None
    assert five.change_interval is not None
    assert one.change_interval[1] > 2 * five.change_interval[1]


def test_as_many_runs_as_were_advised_settle_it_and_one_fewer_do_not() -> None:
    policy = Policy(assumed=Assumption(0.02, 4))
    advice = only_reason(judged(quiet_run(0), [quiet_run(0)], policy))
    assert isinstance(advice, TooFewRuns)
    assert advice.runs == 1

    def outcome(runs: int) -> Outcome:
        spread = Spread(0.02, policy.assumed.weight + runs - 1, 0.0)
        return decide(compare(quiet_run(0), [quiet_run(0)] * runs, spread), policy).outcome

    assert outcome(advice.needed) is Outcome.PASSED
    assert outcome(advice.needed - 1) is Outcome.INCONCLUSIVE


def test_runs_that_differ_wildly_lead_to_the_advice_of_a_wider_tolerance() -> None:
    wild = [quiet_run(v) for v in (0, 0.4, -0.4, 0.3)]
    verdict = judged(quiet_run(0), wild)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons == (RunsDiffer(0.05),)
    assert say_all(verdict.reasons).endswith("try --perf-tolerance 0.1")


def test_a_much_faster_run_is_improved_and_says_how_to_keep_it() -> None:
    verdict = judged(quiet_run(-0.5), [quiet_run(0)] * 5)
    assert verdict.outcome is Outcome.IMPROVED
    assert verdict.reasons == (FasterThanBaseline(),)
    assert "--perf-update" in say_all(verdict.reasons)


def test_another_probe_does_not_compare_and_both_are_named() -> None:
    new = latency_samples(probe="v2 float32 cpu")
    reason = mismatch(new, [latency_samples(probe="v1 float32 cpu")])
    assert reason == Incomparable("probe", "v2 float32 cpu", "v1 float32 cpu")
    assert "v2 float32 cpu" in say_all((reason,))
    assert "v1 float32 cpu" in say_all((reason,))
    assert "--perf-update" in say_all((reason,))
    assert mismatch(new, [new, new]) is None


def test_an_accepted_latency_is_held_against_instead_of_the_recorded_one() -> None:
    policy = Policy()
    baseline = [latency_samples((0.2,) * 3)] * 5
    new = latency_samples((0.22,) * 3)
    spread = between_run_spread([baseline], policy.assumed)
    verdicts = [
        decide(compare(new, baseline, spread, accepted_s=accepted), policy)
        for accepted in (None, 0.22, 0.11)
    ]
    assert [each.expected for each in verdicts] == [0.2, 0.22, 0.11]
    assert [each.change for each in verdicts] == pytest.approx([0.1, 0.0, 1.0])
    assert verdicts[1].outcome is Outcome.PASSED
    assert verdicts[2].outcome is Outcome.REGRESSED


def test_a_run_that_scatters_more_than_the_recorded_ones_is_less_certain() -> None:
    baseline = [quiet_run(v, rounds=5) for v in (0, 0.01, -0.01, 0)]
    calm = judged(quiet_run(0, rounds=5), baseline)
    restless = judged(
        latency_samples((0.7, 0.8, 1.0, 1.25, 1.4), probe_s=(1.0,) * 5, probe="v1 float32 cpu"),
        baseline,
    )
    assert calm.minimum_detectable_effect is not None
    assert restless.minimum_detectable_effect is not None
    assert restless.minimum_detectable_effect > 2 * calm.minimum_detectable_effect
    assert restless.change == pytest.approx(0)


# --- how many samples


def noisy_run(
    generator: np.random.Generator, rounds: int, scatter: float, spread: float = 0.0
) -> LatencySamples:
    logs = generator.normal(generator.normal(0, spread), scatter, rounds)
    return latency_samples([math.exp(each) for each in logs], [1.0] * rounds)


def test_a_calm_run_is_settled_early_and_a_restless_one_wants_more() -> None:
    generator = np.random.default_rng(6)
    baseline = [quiet_run(v) for v in (0, 0.004, -0.004, 0.002, 0)]
    spread = between_run_spread([baseline] * 6, Assumption(0.005, 4))
    calm = compare(noisy_run(generator, 16, 0.002), baseline, spread)
    restless = compare(noisy_run(generator, 16, 0.3), baseline, spread)
    assert is_settled(calm, DEFAULT)
    assert rounds_wanted(calm, DEFAULT) == 16
    assert not is_settled(restless, DEFAULT)
    assert rounds_wanted(restless, DEFAULT) > 160


def test_the_power_calculation_asks_for_what_makes_a_verdict_pass() -> None:
    baseline = [quiet_run(0)] * 5
    spread = Spread(0.012, 24, 0.0, 20)
    error = wanted_error(spread, 5, DEFAULT)
    assert error > 0

    def outcome(own_error: float) -> Outcome:
        compared = compare(quiet_run(0), baseline, spread)
        wider = math.sqrt(compared.error**2 + own_error**2)
        return decide(dataclasses.replace(compared, error=wider), DEFAULT).outcome

    assert outcome(error * 0.999) is Outcome.PASSED
    assert outcome(error * 1.01) is Outcome.INCONCLUSIVE


def test_where_runs_differ_too_much_no_run_has_to_be_surer_than_the_recorded_ones() -> None:
    assert wanted_error(Spread(0.1, 24, 0.02**2, 20), 5, DEFAULT) == pytest.approx(0.02)


def test_a_slow_run_is_never_settled_before_the_budget_ends() -> None:
    baseline = [quiet_run(0)] * 5
    spread = Spread(0.005, 24, 0.0, 20)
    slow = compare(quiet_run(0.2), baseline, spread)
    assert decide(slow, DEFAULT).outcome is Outcome.REGRESSED
    assert not is_settled(slow, DEFAULT)
    assert rounds_wanted(slow, DEFAULT) > len(slow.new.samples_s)


def test_looking_early_and_often_raises_no_more_alarms_than_looking_once() -> None:
    """Every alarm of the schedule is one of the whole run, too: only passes come early."""
    generator = np.random.default_rng(7)
    policy = Policy(1e-9, 0.2, assumed=Assumption(0.01, 10**6))
    early, late = 0, 0
    for _ in range(150):
        baseline = [noisy_run(generator, 20, 0.02, 0.01) for _ in range(4)]
        spread = between_run_spread([baseline], policy.assumed)
        whole = noisy_run(generator, 60, 0.02, 0.01)
        at_end = decide(compare(whole, baseline, spread), policy).outcome is Outcome.REGRESSED
        taken, alarmed = 10, False
        while True:
            part = latency_samples(whole.samples_s[:taken], whole.probe_s[:taken])
            compared = compare(part, baseline, spread)
            wanted = rounds_wanted(compared, policy)
            if taken == 60 or wanted <= taken:
                alarmed = decide(compared, policy).outcome is Outcome.REGRESSED
                break
            taken = min(wanted, 60)
        assert at_end or not alarmed
        early, late = early + alarmed, late + at_end
    assert 0 < early <= late


def test_scattering_samples_lead_to_the_seconds_that_settle_it() -> None:
    generator = np.random.default_rng(11)
    baseline = [quiet_run(v) for v in (0, 0.004, -0.004, 0.002, 0)]
    spread = between_run_spread([baseline] * 6, Assumption(0.005, 4))
    few = compare(noisy_run(generator, 20, 0.15), baseline, spread)
    advice = only_reason(decide(few, DEFAULT))
    assert isinstance(advice, SamplesScatter)
    assert say_all((advice,)).endswith(f"--perf-budget {advice.budget_s} would settle it")
    # A round takes two seconds here, one of the tier and one of the probe.
    many = compare(noisy_run(generator, advice.budget_s // 2 + 1, 0.15), baseline, spread)
    assert many.own_error < few.own_error
    assert wanted_error(spread, 5, DEFAULT) == pytest.approx(many.own_error, rel=0.4)


def test_short_recorded_runs_lead_to_the_advice_to_record_longer_ones() -> None:
    spread = Spread(0.05, 28, 0.05**2, 24)
    verdict = decide(compare(quiet_run(0), [quiet_run(0)] * 5, spread), DEFAULT)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert isinstance(only_reason(verdict), ShortBaselineRuns)
    said = say_all(verdict.reasons)
    assert "the recorded runs are short: perfsuite record --perf-budget" in said


def test_a_regression_from_one_recorded_run_says_that_the_spread_is_assumed() -> None:
    from_one = judged(quiet_run(0.5), [quiet_run(0)])
    assert from_one.outcome is Outcome.REGRESSED
    assert from_one.reasons == (AssumedSpread(DEFAULT.assumed.spread),)
    assert "is assumed (2%): perfsuite record --runs 5" in say_all(from_one.reasons)
    from_five = judged(quiet_run(0.5), [quiet_run(0)] * 5)
    assert (from_five.outcome, from_five.reasons) == (Outcome.REGRESSED, ())


# --- which number


def test_a_steady_machine_is_judged_on_raw_latency() -> None:
    def run(alpha: float, probe: float) -> LatencySamples:
        return latency_samples([math.exp(alpha)] * 3, [math.exp(probe)] * 3)

    levels = (0, 0.001, -0.001, 0.0005, 0)
    steady = [[run(v, 40 * v) for v in levels] for _ in range(3)]
    drifting = [[run(30 * v, 30 * v) for v in levels] for _ in range(3)]
    assumed = Assumption(1e-6, 4)
    assert steadier_spread(steady, assumed).basis is Basis.RAW
    assert steadier_spread(drifting, assumed).basis is Basis.PROBE
    # Five runs of one tier could be steady by chance.
    assert steadier_spread(steady[:1], assumed).basis is Basis.PROBE


def test_raw_latency_leaves_the_probe_out() -> None:
    run = latency_samples((2.0, 40.0, 3.0), probe_s=(1.0, 10.0, 1.0))
    assert log_latency(run, Basis.RAW) == pytest.approx(math.log(3))
    assert log_latency(run, Basis.PROBE) == pytest.approx(math.log(3))
    doubled = scaled(run, probe=2.0)
    assert log_latency(doubled, Basis.RAW) == pytest.approx(math.log(3))
    assert log_latency(doubled, Basis.PROBE) == pytest.approx(math.log(1.5))
    assert sampling_error(doubled, Basis.RAW) == sampling_error(run, Basis.RAW)


def test_the_verdict_says_which_number_it_judged() -> None:
    spread = Spread(0.01, 24, 0.0, 20, Basis.RAW)
    verdict = decide(compare(quiet_run(0.3), [quiet_run(0)] * 5, spread), DEFAULT)
    assert verdict.basis is Basis.RAW
    assert verdict.run_spread == pytest.approx(math.expm1(0.01))
    assert verdict.p_value is not None
    assert verdict.alpha == DEFAULT.alpha
    assert verdict.p_value < verdict.alpha


# --- the parts


def test_log_latency_is_the_median_of_paired_log_ratios() -> None:
    run = latency_samples((2.0, 40.0, 3.0), probe_s=(1.0, 10.0, 1.0))
    assert log_latency(run) == pytest.approx(math.log(3))


def test_sampling_error_agrees_with_the_spread_of_simulated_medians() -> None:
    generator = np.random.default_rng(5)
    logs = generator.normal(0, 0.05, (1500, 41))
    observed = float(np.std(np.median(logs, axis=1)))
    stated = [sampling_error(latency_samples(np.exp(row), [1.0] * 41)) for row in logs[:300]]
    assert statistics.fmean(stated) == pytest.approx(observed, rel=0.1)


def test_single_runs_leave_the_spread_at_the_assumption() -> None:
    policy = Policy(assumed=Assumption(0.02, 4))
    spread = between_run_spread([[quiet_run(0)], [quiet_run(1)], []], policy.assumed)
    assert spread == Spread(pytest.approx(0.02), 4.0, 0.0)  # type: ignore[arg-type]


def test_the_spread_is_pooled_within_tiers_and_never_across_them() -> None:
    policy = Policy(assumed=Assumption(0.02, 4))
    tiers = [[quiet_run(v) for v in values] for values in ((0, 0.1), (5, 5.2, 5.4))]
    spread = between_run_spread(tiers, policy.assumed)
    # Squares: 4 * 0.02**2 assumed, 2 * 0.05**2 and 2 * 0.2**2 observed; 4 + 1 + 2 degrees.
    assert spread.degrees_of_freedom == 7
    assert spread.deviation == pytest.approx(math.sqrt((0.0016 + 0.005 + 0.08) / 7))


def test_a_median_of_ten_lies_between_the_second_and_the_ninth_in_97_9_percent() -> None:
    # The textbook interval: P(2 <= B <= 8) for B ~ Binomial(10, 1/2) is 1002/1024 (W. J. Conover,
    # 'Practical Nonparametric Statistics', 3rd ed., 1999, section 3.2, and its table A3).
    shuffled = (0.7, 0.1, 1.0, 0.4, 0.9, 0.2, 0.6, 0.3, 0.8, 0.5)
    assert median_interval(shuffled) == (0.2, 0.9)
    assert stats.binom.cdf(8, 10, 0.5) - stats.binom.cdf(1, 10, 0.5) == 1002 / 1024


@pytest.mark.parametrize("count", [6, 7, 9, 15, 20, 50, 200])
def test_a_median_interval_covers_95_percent_and_could_not_be_narrower(count: int) -> None:
    low, high = median_interval([float(place) for place in range(1, count + 1)])
    below, above = int(low), count + 1 - int(high)

    def coverage(cut: int) -> float:
        return float(1 - 2 * stats.binom.cdf(cut - 1, count, 0.5))

    assert below == above
    assert coverage(below) >= 0.95 > coverage(below + 1)


def test_a_few_samples_give_their_whole_range() -> None:
    assert median_interval((3.0, 1.0, 2.0)) == (1.0, 3.0)
    assert median_interval((1.0,)) == (1.0, 1.0)


def test_a_verdict_without_a_baseline_keeps_the_median_and_leaves_the_change_open() -> None:
    none = NoBaseline("cpu-x")
    verdict = without_baseline(latency_samples((3.0, 1.0, 2.0)), Outcome.NO_BASELINE, none)
    assert (verdict.metric, verdict.outcome) == (Metric.LATENCY, Outcome.NO_BASELINE)
    assert verdict.reasons == (none,)
    assert (verdict.measured, verdict.measured_interval) == (2.0, (1.0, 3.0))
    assert verdict.change is verdict.expected is verdict.minimum_detectable_effect is None
