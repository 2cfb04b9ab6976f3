"""Error rates from trials whose samples are drawn from known distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perfsuite.report.console import render_console
from perfsuite.report.markdown import render_markdown
from perfsuite.results.machine import Conditions
from perfsuite.results.policy import Policy
from perfsuite.results.verdict import Outcome
from perfsuite.selftest.experiment import Rate
from perfsuite.selftest.latency.campaign import LatencyReport, report_on
from perfsuite.selftest.latency.rates import gate_rates, judge_session, planted_costs, rule_rates
from perfsuite.selftest.latency.report import LEGEND, latency_selftest_document
from perfsuite.selftest.latency.rules import RULES
from perfsuite.selftest.latency.trials import SCHEMA, PlantedSamples, Trial, TrialPlan
from tests.unit.samples import environment, latency_samples

TIERS = ("bf16", "compile")
PLAN = TrialPlan(SCHEMA, "pocket", TIERS, "auto", None, (0.05, 0.2), 11, 20, 2, 12.0, 7.0)
QUIET = Conditions()


def trial(
    generator: np.random.Generator,
    number: int,
    *,
    drift: float = 0.0,
    spread: float = 0.004,
    conditions: Conditions = QUIET,
) -> Trial:
    """A process on a machine that is slower by `drift` in all it does."""
    samples = []
    for tier in TIERS:
        alpha = generator.normal(0, spread)
        for slowdown in (0.0, *(PLAN.slowdowns if PLAN.plants(number) else ())):
            logs = generator.normal(alpha + math.log1p(slowdown) + drift, 0.01, 30)
            latency = latency_samples([math.exp(v) for v in logs], [math.exp(drift)] * 30)
            samples.append(PlantedSamples(tier, slowdown, latency, 9.0, conditions))
    return Trial(SCHEMA, number, environment(), 60.0, tuple(samples))


def trials(*, drift: float = 0.0, spread: float = 0.004) -> tuple[Trial, ...]:
    generator = np.random.default_rng(9)
    numbers = range(PLAN.trials)
    return tuple(trial(generator, each, drift=drift, spread=spread) for each in numbers)


def test_unchanged_code_is_passed_and_a_large_slowdown_found_on_a_calm_machine() -> None:
    rates = gate_rates(trials(), PLAN, 5, 0.05)
    # Of 31 trials the last 26 are fresh, with two tiers; ten of them have work planted.
    assert rates.rate(0.0, Outcome.PASSED) == Rate.of(52, 52)
    assert rates.rate(0.2, Outcome.REGRESSED) == Rate.of(20, 20)
    assert rates.regressed["20%"] == Rate.of(20, 20)
    assert rates.resampled["0%"] == 0.0
    assert rates.resampled["20%"] == 1.0


def test_a_machine_that_differs_between_runs_is_undecided_and_not_regressed() -> None:
    rates = gate_rates(trials(spread=0.08), PLAN, 5, 0.05)
    assert rates.rate(0.0, Outcome.REGRESSED).share < 0.1
    assert rates.rate(0.0, Outcome.INCONCLUSIVE).share > 0.9


def test_an_early_pass_costs_less_sampling() -> None:
    rates = gate_rates(trials(), PLAN, 5, 0.05)
    spent = {each.sampling_s for each in rates.verdicts if each.slowdown == 0.0}
    assert min(spent) == pytest.approx(9.0 * 16 / 30)
    assert {each.sampling_s for each in rates.verdicts if each.slowdown == 0.2} == {9.0}


def test_a_spoilt_trial_is_invalid_whatever_its_samples_say() -> None:
    generator = np.random.default_rng(10)
    baseline = [trial(generator, number) for number in range(5)]
    swapping = Conditions(swapped_bytes=1 << 30)
    spoilt = trial(generator, 11, conditions=swapping)
    judged = judge_session(spoilt, 0.2, baseline, Policy(multiplicity=2))
    assert [each.outcome for each in judged] == [Outcome.INVALID] * 2


def test_rules_on_raw_seconds_call_a_slower_machine_slower_code() -> None:
    calm, drifted = trials()[:11], trials(drift=0.2)[11:]
    alarms = {each.name: each.alarms["0%"].share for each in rule_rates(calm + drifted, PLAN, 5)}
    # The last five of the 'fresh' trials' predecessors ran before the machine slowed down.
    assert alarms["median:10%"] == pytest.approx(40 / 52)
    assert gate_rates(calm + drifted, PLAN, 5, 0.05).rate(0.0, Outcome.REGRESSED).hits == 0


def test_what_was_planted_is_measured_within_each_process() -> None:
    """A run that is slower as a whole, its unchanged samples too, does not count."""
    low, high = planted_costs(trials(spread=0.08), PLAN)
    assert (low.slowdown, low.pairs) == (0.05, 20)
    assert low.error is not None
    assert high.error is not None
    assert low.cost == pytest.approx(0.05, abs=4 * low.error)
    assert high.cost == pytest.approx(0.2, abs=4 * high.error * 1.2)
    assert high.error < 0.005


def test_trials_without_planted_work_say_nothing_of_its_cost() -> None:
    assert planted_costs(trials()[:3], PLAN) == ()


def test_a_rate_has_wilsons_interval() -> None:
    # Wilson 1927: for 0 of n the upper end is z^2 / (n + z^2), with z = 1.959964.
    none = Rate.of(0, 100)
    assert none.low == pytest.approx(0, abs=1e-12)
    assert none.high == pytest.approx(3.841459 / 103.841459)
    assert Rate.of(0, 0) == Rate(0, 0, 0.0, 1.0)
    assert Rate.of(0, 0).share == 0.0


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_passes_the_same_samples_and_finds_a_doubling(rule: object) -> None:
    from perfsuite.selftest.latency.rules import Rule

    assert isinstance(rule, Rule)
    old = [0.2 + 0.001 * place for place in range(30)]
    assert not rule.alarms(old, old)
    assert rule.alarms(old, [2 * value for value in old])


@pytest.fixture(scope="module")
def report() -> LatencyReport:
    return report_on(trials(), PLAN)


def test_the_table_fits_80_columns_and_has_a_line_for_every_rule(report: LatencyReport) -> None:
    printed = render_console(latency_selftest_document(report), width=80)
    assert max(len(line) for line in printed.splitlines()) <= 80
    assert "…" not in printed
    assert "perfsuite 5%, 5 runs" in printed
    assert "perfsuite 2.5%, 10 runs" in printed
    assert all(rule.name in printed for rule in RULES)
    assert "0/52 (-6.9%)" in printed
    assert "+5% cost 5." in " ".join(printed.split())
    assert "unchanged 0.0%-6.9% of 52, +5%" in " ".join(printed.split())


def test_the_page_has_the_same_cells_and_the_counts_of_each_tier(report: LatencyReport) -> None:
    page = render_markdown(latency_selftest_document(report), depth=1)
    assert "0/52 (-6.9%)" in page
    assert LEGEND in page
    assert "| perfsuite 5%, 5 runs | bf16 | 0/26 |" in page
    assert page.count("\n# ") == 0
    assert page.startswith("# Self-test of the latency gate\n")


def test_a_verdicts_price_is_a_processs_time_by_its_tiers(report: LatencyReport) -> None:
    assert report.verdict_s == 30.0
    assert report.false_alarms == 0
