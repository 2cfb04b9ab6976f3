"""From trials to error rates. Pure: the verdicts are those of the gate itself, on recorded samples.

A trial counts as one session over its tiers. Its samples go through the same schedule that a
session has: a pilot, as many more as the power calculation wants, and an early end only for a pass.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scipy import stats

from perfsuite.judge.comparison import Comparison, compare
from perfsuite.judge.latency import decide
from perfsuite.judge.multiplicity import holm_alpha
from perfsuite.judge.power import rounds_wanted
from perfsuite.judge.validity import invalid_reason
from perfsuite.judge.variance import Spread, log_latency, steadier_spread
from perfsuite.measure.sampling import SamplingPlan
from perfsuite.results.policy import Policy
from perfsuite.results.samples import LatencySamples
from perfsuite.results.verdict import Outcome
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
class Rate:
    """How many of how many.

    Attributes:
        hits: how often it happened.
        total: how often it could have.
        low: lower end of the 95 % interval of the share (E. B. Wilson, JASA 22, 1927).
        high: upper end.
    """

    hits: int
    total: int
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, total: int) -> Rate:
        """The rate with its interval; of nothing nothing is known."""
        if not total:
            return cls(0, 0, 0.0, 1.0)
        interval = stats.binomtest(hits, total).proportion_ci(method="wilson")
        return cls(hits, total, float(interval.low), float(interval.high))

    @property
    def share(self) -> float:
        """As a fraction; 0 of 0 is 0."""
        return self.hits / self.total if self.total else 0.0


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
    known = _runs_by_tier(baseline)
    taken = [each for each in trial.samples if each.slowdown == slowdown and each.tier in known]
    if not taken:
        return []
    spread = steadier_spread(known.values(), policy.assumed)
    compared = [_replayed(each.latency, known[each.tier], spread, policy) for each in taken]
    spoilt = [_is_spoilt(trial, each) for each in taken]
    judged = zip(compared, spoilt, strict=True)
    p_values = [comparison.p_slower for comparison, is_spoilt in judged if not is_spoilt]
    alpha = holm_alpha(p_values, policy.false_alarm_rate, policy.multiplicity)
    return [
        _judged(trial, each, comparison, policy, alpha, is_spoilt=is_spoilt)
        for each, comparison, is_spoilt in zip(taken, compared, spoilt, strict=True)
    ]


def _runs_by_tier(trials: Iterable[Trial]) -> dict[str, list[LatencySamples]]:
    runs: dict[str, list[LatencySamples]] = {}
    for trial in trials:
        for each in trial.samples:
            if each.slowdown == 0:
                runs.setdefault(each.tier, []).append(each.latency)
    return runs


def _replayed(
    latency: LatencySamples, known: Sequence[LatencySamples], spread: Spread, policy: Policy
) -> Comparison:
    """The comparison at which a session would have stopped sampling."""
    most = len(latency.samples_s)
    taken = min(SamplingPlan().pilot_rounds, most)
    while True:
        compared = compare(_first(latency, taken), known, spread)
        wanted = rounds_wanted(compared, policy)
        if taken == most or wanted <= taken:
            return compared
        taken = min(wanted, most)


def _first(latency: LatencySamples, count: int) -> LatencySamples:
    return replace(latency, samples_s=latency.samples_s[:count], probe_s=latency.probe_s[:count])


def _is_spoilt(trial: Trial, taken: PlantedSamples) -> bool:
    hardware = trial.environment.hardware
    why = invalid_reason(taken.conditions, cores=hardware.cores, threads=trial.environment.threads)
    return why is not None


def _judged(
    trial: Trial,
    taken: PlantedSamples,
    comparison: Comparison,
    policy: Policy,
    alpha: float,
    *,
    is_spoilt: bool,
) -> Judged:
    verdict = decide(comparison, policy, alpha=alpha)
    share = len(comparison.new.samples_s) / len(taken.latency.samples_s)
    return Judged(
        trial.number,
        taken.tier,
        taken.slowdown,
        Outcome.INVALID if is_spoilt else verdict.outcome,
        verdict.change,
        verdict.minimum_detectable_effect,
        taken.sampling_s * share,
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
