"""The one path from measurements to latency verdicts: order of tiers, Holm, mismatches."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations

import pytest

from perfsuite.judge.session import Recorded, SessionJudge
from perfsuite.results.condition_reasons import BusyElsewhere, CompiledWhileSampling, Swapping
from perfsuite.results.machine import Conditions
from perfsuite.results.policy import Assumption, Policy
from perfsuite.results.reasons import Incomparable, NoBaseline, RegressedTogether
from perfsuite.results.samples import LatencySamples
from perfsuite.results.verdict import Basis, Outcome, Verdict
from tests.unit.samples import PROBE, latency_samples, quiet_run

ERROR = 0.03
"""Standard error of a run's difference from its baseline of one run; 28 degrees of freedom."""
# 3.1 standard deviations: p = 0.0022, above 0.01 / 6 and below 0.01 / 4.
SLOWER = 0.093
# 2.6 standard deviations: p = 0.0074, above 0.01 / 2 and below 0.01.
LITTLE_SLOWER = 0.078
MUCH_SLOWER = 0.5
QUIET = Conditions()


def judge_of(
    recorded: dict[str, Recorded] | None = None,
    *,
    multiplicity: int = 6,
    cores: int | None = 2,
    tiers: tuple[str, ...] = ("fp32", "bf16", "sdpa"),
) -> SessionJudge:
    policy = Policy(multiplicity=multiplicity, assumed=Assumption(ERROR / math.sqrt(2), 28))
    known = dict.fromkeys(tiers, Recorded((quiet_run(0),))) if recorded is None else recorded
    return SessionJudge(policy, known, "cpu-x", cores, 1)


def judged(judge: SessionJudge, differences: dict[str, float]) -> dict[str, Verdict]:
    """Verdicts on tiers that came out slower by these, one after another."""
    return {
        tier: judge.judge(tier, quiet_run(difference), QUIET)
        for tier, difference in differences.items()
    }


def regressed(verdicts: dict[str, Verdict]) -> set[str]:
    return {tier for tier, each in verdicts.items() if each.outcome is Outcome.REGRESSED}


# --- several tiers


def test_the_first_tier_is_judged_at_its_share_of_the_rate() -> None:
    verdict = judge_of().judge("fp32", quiet_run(SLOWER), QUIET)
    assert verdict.alpha == pytest.approx(0.01 / 6)
    assert verdict.p_value == pytest.approx(0.0022, abs=1e-4)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_earlier_regressions_leave_their_share_to_a_later_tier() -> None:
    verdicts = judged(judge_of(), {"bf16": MUCH_SLOWER, "sdpa": MUCH_SLOWER, "fp32": SLOWER})
    assert regressed(verdicts) == {"bf16", "sdpa", "fp32"}
    # Its own refutation counts, too: two others and itself of six leave 0.01 / 3.
    assert verdicts["fp32"].alpha == pytest.approx(0.01 / 3)
    assert RegressedTogether() not in verdicts["fp32"].reasons


def test_later_regressions_lend_theirs_to_an_earlier_tier_at_the_end() -> None:
    judge = judge_of()
    verdicts = judged(judge, {"fp32": SLOWER, "bf16": MUCH_SLOWER, "sdpa": MUCH_SLOWER})
    assert regressed(verdicts) == {"bf16", "sdpa"}
    changed = judge.judge_together(verdicts)
    assert set(changed) == {"fp32"}
    assert changed["fp32"].outcome is Outcome.REGRESSED
    assert changed["fp32"].reasons == (RegressedTogether(),)
    assert changed["fp32"].alpha == pytest.approx(0.01 / 3)
    assert changed["fp32"].change == verdicts["fp32"].change


@pytest.mark.parametrize("order", list(permutations(("fp32", "bf16", "sdpa"))), ids=" ".join)
def test_at_the_end_the_order_of_tiers_makes_no_difference(order: tuple[str, ...]) -> None:
    differences = {"fp32": LITTLE_SLOWER, "bf16": SLOWER, "sdpa": MUCH_SLOWER}
    judge = judge_of(multiplicity=3)
    verdicts = judged(judge, {tier: differences[tier] for tier in order})
    together = verdicts | judge.judge_together(verdicts)
    assert regressed(verdicts) <= regressed(together)
    # By the book: 0.0000… <= 0.01 / 3, 0.0022 <= 0.01 / 2, 0.0074 <= 0.01.
    assert regressed(together) == {"fp32", "bf16", "sdpa"}


def test_one_slow_tier_makes_none_of_the_others_a_regression() -> None:
    judge = judge_of()
    verdicts = judged(judge, {"fp32": 0.0, "bf16": MUCH_SLOWER, "sdpa": LITTLE_SLOWER})
    assert judge.judge_together(verdicts) == {}
    assert regressed(verdicts) == {"bf16"}


def test_a_tier_that_was_made_the_baseline_stays_so() -> None:
    judge = judge_of()
    verdicts = judged(judge, {"fp32": SLOWER, "bf16": MUCH_SLOWER, "sdpa": MUCH_SLOWER})
    stored = {"fp32": Verdict(verdicts["fp32"].metric, Outcome.RECORDED)}
    assert judge.judge_together(verdicts | stored) == {}


def test_what_was_not_asked_about_is_not_answered() -> None:
    judge = judge_of()
    verdicts = judged(judge, {"fp32": SLOWER, "bf16": MUCH_SLOWER, "sdpa": MUCH_SLOWER})
    assert judge.judge_together({"bf16": verdicts["bf16"]}) == {}


def test_the_spread_is_pooled_over_all_recorded_tiers() -> None:
    calm = Recorded(tuple(quiet_run(each) for each in (0, 0.001, -0.001)))
    wild = Recorded(tuple(quiet_run(each) for each in (0, 0.3, -0.3)))
    alone = judge_of({"fp32": calm}).judge("fp32", quiet_run(0), QUIET)
    beside = judge_of({"fp32": calm, "bf16": wild}).judge("fp32", quiet_run(0), QUIET)
    assert alone.run_spread is not None
    assert beside.run_spread is not None
    assert beside.run_spread > 2 * alone.run_spread
    assert alone.basis is Basis.PROBE


# --- what is not judged


def test_without_a_baseline_the_hardware_is_named() -> None:
    verdict = judge_of({}).judge("fp32", quiet_run(0), QUIET)
    assert verdict.outcome is Outcome.NO_BASELINE
    assert verdict.reasons == (NoBaseline("cpu-x"),)
    assert verdict.measured == 1.0
    assert verdict.change is None


def test_another_probe_does_not_compare_and_leaves_no_share_of_the_rate() -> None:
    other = LatencySamples((1.0,) * 3, (1.0,) * 3, "v0 other")
    known = dict.fromkeys(("fp32", "bf16"), Recorded((quiet_run(0),)))
    judge = judge_of(known | {"sdpa": Recorded((other,))}, multiplicity=6)
    verdicts = judged(judge, {"sdpa": MUCH_SLOWER, "fp32": SLOWER})
    assert verdicts["sdpa"].outcome is Outcome.NO_BASELINE
    assert verdicts["sdpa"].reasons == (Incomparable("probe", PROBE, "v0 other"),)
    assert verdicts["sdpa"].change is None
    assert verdicts["fp32"].alpha == pytest.approx(0.01 / 6)
    assert judge.judge_together(verdicts) == {}


def test_runs_that_must_not_be_compared_with_say_why() -> None:
    why = Incomparable("threads", "2", "1")
    judge = replace(judge_of({"fp32": Recorded((quiet_run(0),))}), refused={"fp32": why})
    verdict = judge.judge("fp32", quiet_run(MUCH_SLOWER), QUIET)
    assert (verdict.outcome, verdict.reasons) == (Outcome.NO_BASELINE, (why,))
    assert verdict.change is None
    assert judge.goal("fp32") is None


def test_graphs_that_were_compiled_while_sampling_spoil_the_samples() -> None:
    verdict = judge_of().judge("fp32", quiet_run(MUCH_SLOWER), QUIET, 2)
    assert (verdict.outcome, verdict.reasons) == (Outcome.INVALID, (CompiledWhileSampling(2),))
    assert verdict.change is None


def test_a_machine_that_was_not_quiet_spoils_them_before_a_baseline_is_looked_for() -> None:
    judge = judge_of({})
    swapping = judge.judge("fp32", quiet_run(0), Conditions(swapped_bytes=1 << 30))
    assert (swapping.outcome, swapping.reasons) == (Outcome.INVALID, (Swapping(),))
    busy = judge.judge("fp32", quiet_run(0), Conditions(busy_elsewhere=1.5))
    assert (busy.outcome, busy.reasons) == (Outcome.INVALID, (BusyElsewhere(1.5, 2),))


def test_on_an_accelerator_busy_cores_do_not_matter() -> None:
    judge = judge_of(cores=None)
    verdict = judge.judge("fp32", quiet_run(0), Conditions(busy_elsewhere=1.5))
    assert verdict.outcome is not Outcome.INVALID


def test_an_accepted_latency_is_held_against_instead_of_the_recorded_one() -> None:
    judge = judge_of({"fp32": Recorded((quiet_run(0),), accepted_s=0.5)})
    verdict = judge.judge("fp32", quiet_run(0), QUIET)
    assert (verdict.expected, verdict.outcome) == (0.5, Outcome.REGRESSED)
    assert verdict.change == pytest.approx(1.0)


# --- how many samples


def test_without_a_baseline_nothing_tells_how_many_samples_are_wanted() -> None:
    assert judge_of({}).goal("fp32") is None


def test_a_settled_run_wants_no_more_and_an_open_one_does() -> None:
    calm = Recorded(tuple(quiet_run(each) for each in (0, 0.001, -0.001, 0.002, 0)))
    policy = Policy(assumed=Assumption(0.005, 4))
    judge = SessionJudge(policy, {"fp32": calm}, "cpu-x", 2, 1)
    goal = judge.goal("fp32")
    assert goal is not None
    assert goal(quiet_run(0, rounds=16)) == 16
    assert goal(quiet_run(0.2, rounds=16)) > 16


def test_samples_of_another_probe_want_no_more() -> None:
    goal = judge_of().goal("fp32")
    assert goal is not None
    assert goal(latency_samples(probe="v0 other")) == 5


def test_asking_how_many_samples_are_wanted_is_no_judgement() -> None:
    judge = judge_of()
    goal = judge.goal("bf16")
    assert goal is not None
    goal(quiet_run(MUCH_SLOWER))
    verdict = judge.judge("fp32", quiet_run(SLOWER), QUIET)
    assert verdict.alpha == pytest.approx(0.01 / 6)
