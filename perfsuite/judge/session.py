"""The one path from a session's measurements to its latency verdicts. No clock, file or printing.

A session and the latency gate's self-test both judge with a `SessionJudge`, in the order in which
tiers are measured.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from perfsuite.judge.baseline import BaselineComparison, compare, mismatch
from perfsuite.judge.latency import decide, without_baseline
from perfsuite.judge.multiplicity import holm_alpha
from perfsuite.judge.power import rounds_wanted
from perfsuite.judge.validity import invalid_reason
from perfsuite.judge.variance import Spread, steadier_spread
from perfsuite.results.condition_reasons import CompiledWhileSampling, RecordedWhileSampling
from perfsuite.results.machine import Conditions
from perfsuite.results.policy import Policy
from perfsuite.results.reasons import NoBaseline, Reason, RegressedTogether
from perfsuite.results.samples import Goal, LatencySamples
from perfsuite.results.verdict import Outcome, Verdict


@dataclass(frozen=True)
class Recorded:
    """What one tier is held against.

    Attributes:
        runs: samples of the recorded runs, at least one.
        accepted_s: latency that a person has set; None for the runs' own.
    """

    runs: tuple[LatencySamples, ...]
    accepted_s: float | None = None


@dataclass
class SessionJudge:
    """Judges one tier after another, with what is known by then.

    Attributes:
        policy: how strict to be.
        recorded: by the tier's name.
        hardware_key: names the hardware, for people.
        cores: CPU cores that this process may use; None if that is not known.
        threads: CPU threads that it keeps busy.
        refused: by the tier's name, why what was recorded of it must not be compared.
        p_values: of the session's tests so far, by what they are about; judges of one session share
            them, since Holm's procedure weighs all its tests together.
        name: tells this judge's tests from those of others that share `p_values`.
    """

    policy: Policy
    recorded: Mapping[str, Recorded]
    hardware_key: str
    cores: int | None
    threads: int
    refused: Mapping[str, Reason] = field(default_factory=dict)
    p_values: dict[str, float] = field(default_factory=dict)
    name: str = ""
    _compared: dict[str, BaselineComparison] = field(default_factory=dict)

    @functools.cached_property
    def spread(self) -> Spread:
        """Spread between recorded runs, pooled over all tiers."""
        return steadier_spread((each.runs for each in self.recorded.values()), self.policy.assumed)

    def goal(self, tier: str) -> Goal | None:
        """How many samples of a tier are wanted; None where nothing tells."""
        if tier not in self.recorded or tier in self.refused:
            return None

        def wanted(latency: LatencySamples) -> int:
            compared = self._compare(tier, latency)
            if compared is None:
                return len(latency.samples_s)
            return rounds_wanted(compared, self.policy)

        return wanted

    def judge(
        self,
        tier: str,
        latency: LatencySamples,
        conditions: Conditions,
        recompiles: int = 0,
        recordings: int = 0,
    ) -> Verdict:
        """The verdict on a tier's samples.

        Args:
            tier: its name.
            latency: raw samples.
            conditions: what else went on meanwhile.
            recompiles: graphs that were compiled while sampling.
            recordings: device graphs that were recorded while sampling.
        """
        if recompiles:
            return without_baseline(latency, Outcome.INVALID, CompiledWhileSampling(recompiles))
        if recordings:
            return without_baseline(latency, Outcome.INVALID, RecordedWhileSampling(recordings))
        spoilt = invalid_reason(conditions, cores=self.cores, threads=self.threads)
        if spoilt is not None:
            return without_baseline(latency, Outcome.INVALID, spoilt)
        known = self.recorded.get(tier)
        unlike = self.refused.get(tier) or (mismatch(latency, known.runs) if known else None)
        if known is None or unlike is not None:
            why = unlike or NoBaseline(self.hardware_key)
            return without_baseline(latency, Outcome.NO_BASELINE, why)
        compared = compare(latency, known.runs, self.spread, accepted_s=known.accepted_s)
        self._compared[tier] = compared
        self.p_values[f"{self.name} {tier}"] = compared.p_slower
        return decide(compared, self.policy, alpha=self._alpha())

    def judge_together(self, verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
        """Verdicts that become regressions by what the tiers measured later leave to them (Holm).

        Each verdict was given with what was known by then. A later refuted hypothesis can only
        raise the alpha of the others, so this adds regressions to a session that has one, and takes
        none away.
        """
        changed = {}
        for tier, compared in self._compared.items():
            known = verdicts.get(tier)
            verdict = decide(compared, self.policy, alpha=self._alpha())
            if known is None or verdict.outcome is not Outcome.REGRESSED:
                continue
            if known.outcome in (Outcome.PASSED, Outcome.INCONCLUSIVE):
                changed[tier] = replace(verdict, reasons=(RegressedTogether(),))
        return changed

    def _compare(self, tier: str, latency: LatencySamples) -> BaselineComparison | None:
        """A run held against its tier's baseline; None if that has another probe."""
        known = self.recorded[tier]
        if mismatch(latency, known.runs):
            return None
        return compare(latency, known.runs, self.spread, accepted_s=known.accepted_s)

    def _alpha(self) -> float:
        """What Holm's procedure leaves to each tier, with what is known so far."""
        known = tuple(self.p_values.values())
        return holm_alpha(known, self.policy.false_alarm_rate, self.policy.multiplicity)
