"""From trials to error rates. Pure: the verdicts are those of the session's judge.

A trial counts as one session over its tiers. Its samples go through the session's own loop: a
pilot, as many more as the power calculation wants, and an early end only for a pass.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from perfsuite.judge.session import Recorded, SessionJudge
from perfsuite.judge.variance import log_latency
from perfsuite.measure.sampling import SamplingPlan, take_enough
from perfsuite.results.policy import Policy
from perfsuite.results.samples import Goal, LatencySamples
from perfsuite.results.verdict import Outcome, Verdict
from perfsuite.selftest.experiment import Rate
from perfsuite.selftest.latency.rules import RULES, Rule
from perfsuite.selftest.latency.trials import PlantedSamples, Trial, TrialPlan

_DRAWS = 20
"""Baselines drawn for each fresh trial, where baselines are resampled."""


@dataclass(frozen=True)
class Judged:
    """One verdict of the self-test.

    Attributes:
        trial: its number.
        tier: the tier's name.
        slowdown: planted, as a fraction.
        outcome: what the gate said.
        change: slowdown that it estimated, as a fraction; None if it did not.
        minimum_detectable_effect: slowdown that it could have seen; None if it was not judged.
        sampling_s: seconds of sampling that the gate would have taken.
    """

    trial: int
    tier: str
    slowdown: float
    outcome: Outcome
    change: float | None
    minimum_detectable_effect: float | None
    sampling_s: float


@dataclass(frozen=True)
class GateRates:
    """The gate's own record at one setting.

    Attributes:
        tolerance: of the policy.
        baseline_runs: how many runs each verdict was held against.
        regressed: by slowdown: verdicts `regressed`, of fresh trials against the first ones.
        resampled: by slowdown: share of verdicts `regressed`, each trial against baselines drawn
            from all the others; no interval goes with it, since they share their samples.
        verdicts: one for each fresh trial, tier and slowdown, against the first trials.
    """

    tolerance: float
    baseline_runs: int
    regressed: dict[str, Rate]
    resampled: dict[str, float]
    verdicts: tuple[Judged, ...]

    def rate(self, slowdown: float, *outcomes: Outcome) -> Rate:
        """How many verdicts at a slowdown were one of these outcomes."""
        own = [each for each in self.verdicts if each.slowdown == slowdown]
        return Rate.of(sum(1 for each in own if each.outcome in outcomes), len(own))


@dataclass(frozen=True)
class RuleRates:
    """Another tool's record on the same samples.

    Attributes:
        name: of the rule.
        source: the tool and its option.
        baseline_runs: the stored run is the last of so many.
        alarms: by slowdown.
    """

    name: str
    source: str
    baseline_runs: int
    alarms: dict[str, Rate]


@dataclass(frozen=True)
class Planted:
    """What a planted slowdown really cost.

    Attributes:
        slowdown: asked for, as a fraction.
        cost: measured: probe-normalised latency against that of the same process's unchanged
            samples, as a fraction; mean over trials and tiers.
        error: its standard error; None of a single one.
        pairs: how many were measured.
    """

    slowdown: float
    cost: float
    error: float | None
    pairs: int


def key_of(slowdown: float) -> str:
    """A slowdown as a key of JSON: '0%', '5%'."""
    return f"{slowdown:.0%}"


def gate_rates(
    trials: Sequence[Trial], plan: TrialPlan, baseline_runs: int, tolerance: float
) -> GateRates:
    """Judge every fresh trial against the first ones, and against drawn ones.

    Args:
        trials: of a self-test, in the order of time.
        plan: of that self-test.
        baseline_runs: how many runs make a baseline.
        tolerance: of the policy.
    """
    policy = Policy(tolerance=tolerance, multiplicity=len(plan.tiers))
    slowdowns = (0.0, *plan.slowdowns)
    baseline = trials[:baseline_runs]
    verdicts = tuple(
        judged
        for trial in trials[baseline_runs:]
        for slowdown in slowdowns
        for judged in judge_session(trial, slowdown, baseline, policy)
    )
    drawn = [
        judged
        for trial, others in _draws(trials, baseline_runs)
        for slowdown in slowdowns
        for judged in judge_session(trial, slowdown, others, policy)
    ]
    return GateRates(
        tolerance,
        baseline_runs,
        {key_of(each): _regressed(verdicts, each) for each in slowdowns},
        {key_of(each): _regressed(drawn, each).share for each in slowdowns if drawn},
        verdicts,
    )


def rule_rates(trials: Sequence[Trial], plan: TrialPlan, baseline_runs: int) -> list[RuleRates]:
    """What other tools would have said of the fresh trials, each against the last stored run."""
    stored, fresh = trials[baseline_runs - 1], trials[baseline_runs:]
    return [
        RuleRates(
            rule.name,
            rule.source,
            baseline_runs,
            {
                key_of(slowdown): _alarms(rule, stored, fresh, plan.tiers, slowdown)
                for slowdown in (0.0, *plan.slowdowns)
            },
        )
        for rule in RULES
    ]


def planted_costs(trials: Iterable[Trial], plan: TrialPlan) -> tuple[Planted, ...]:
    """What each planted slowdown really cost; those that were not measured are left out."""
    trials = tuple(trials)
    found = []
    for slowdown in plan.slowdowns:
        logs = []
        for trial in trials:
            for tier in plan.tiers:
                old, new = trial.find(tier, 0.0), trial.find(tier, slowdown)
                if old is not None and new is not None:
                    logs.append(log_latency(new.latency) - log_latency(old.latency))
        if logs:
            error = statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else None
            cost = math.expm1(statistics.fmean(logs))
            found.append(Planted(slowdown, cost, error, len(logs)))
    return tuple(found)


def judge_session(
    trial: Trial, slowdown: float, baseline: Sequence[Trial], policy: Policy
) -> list[Judged]:
    """Verdicts on a trial's tiers at one slowdown, as one session would give them."""
    judge = SessionJudge(
        policy,
        {tier: Recorded(tuple(runs)) for tier, runs in _runs_by_tier(baseline).items()},
        trial.environment.hardware.key,
        trial.environment.hardware.cores,
        trial.environment.threads,
    )
    taken = [
        each for each in trial.samples if each.slowdown == slowdown and each.tier in judge.recorded
    ]
    seen = {each.tier: _replayed(each.latency, judge.goal(each.tier)) for each in taken}
    verdicts = {
        each.tier: judge.judge(each.tier, seen[each.tier], each.conditions) for each in taken
    }
    verdicts |= judge.judge_together(verdicts)
    return [_judged(trial, each, seen[each.tier], verdicts[each.tier]) for each in taken]


def _runs_by_tier(trials: Iterable[Trial]) -> dict[str, list[LatencySamples]]:
    runs: dict[str, list[LatencySamples]] = {}
    for trial in trials:
        for each in trial.samples:
            if each.slowdown == 0:
                runs.setdefault(each.tier, []).append(each.latency)
    return runs


def _replayed(latency: LatencySamples, goal: Goal | None) -> LatencySamples:
    """The samples at which a session would have stopped, by its own loop."""
    taken = 0

    def take(rounds: int) -> None:
        nonlocal taken
        taken += rounds

    def samples() -> LatencySamples:
        return replace(
            latency, samples_s=latency.samples_s[:taken], probe_s=latency.probe_s[:taken]
        )

    take_enough(take, samples, len(latency.samples_s), SamplingPlan().pilot_rounds, goal)
    return samples()


def _judged(trial: Trial, taken: PlantedSamples, seen: LatencySamples, verdict: Verdict) -> Judged:
    return Judged(
        trial.number,
        taken.tier,
        taken.slowdown,
        verdict.outcome,
        verdict.change,
        verdict.minimum_detectable_effect,
        taken.sampling_s * len(seen.samples_s) / len(taken.latency.samples_s),
    )


def _draws(trials: Sequence[Trial], runs: int) -> Iterator[tuple[Trial, list[Trial]]]:
    """Every trial with baselines drawn from the others; the same ones each time."""
    generator = random.Random(0)
    for trial in trials:
        others = [each for each in trials if each.number != trial.number]
        if len(others) < runs:
            return
        for _ in range(_DRAWS):
            yield trial, generator.sample(others, runs)


def _regressed(verdicts: Iterable[Judged], slowdown: float) -> Rate:
    outcomes = [each.outcome for each in verdicts if each.slowdown == slowdown]
    return Rate.of(outcomes.count(Outcome.REGRESSED), len(outcomes))


def _alarms(
    rule: Rule, stored: Trial, fresh: Sequence[Trial], tiers: Iterable[str], slowdown: float
) -> Rate:
    said = []
    for tier in tiers:
        old = stored.find(tier, 0.0)
        for trial in fresh:
            new = trial.find(tier, slowdown)
            if old is not None and new is not None:
                said.append(rule.alarms(old.latency.samples_s, new.latency.samples_s))
    return Rate.of(sum(said), len(said))


def median_visible(verdicts: Iterable[Judged]) -> float | None:
    """Median of the smallest visible slowdowns, as a fraction; None without any."""
    known = [
        each.minimum_detectable_effect
        for each in verdicts
        if each.minimum_detectable_effect is not None
    ]
    return statistics.median(known) if known else None
