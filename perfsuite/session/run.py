"""One session: what was asked for, what is known beforehand, and what has come out so far.

A `Run` joins the rooms: it takes measurements and images, has them judged, and saves the record
after each. `perfsuite.session.preflight` makes one.
"""

from __future__ import annotations

import functools
import gc
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from perfsuite.checkpoints import Checkpoint
from perfsuite.device import Device
from perfsuite.errors import head_of
from perfsuite.images.scoring import make_images
from perfsuite.judge import Outcome, invalid_reason
from perfsuite.judge.comparison import Comparison, compare, probe_mismatch
from perfsuite.judge.latency import decide, without_baseline
from perfsuite.judge.multiplicity import holm_alpha
from perfsuite.judge.power import rounds_wanted
from perfsuite.judge.variance import Spread, steadier_spread
from perfsuite.ladder import BuiltTier, Tier, build_tier, reference_tier
from perfsuite.measure import Goal, LatencySamples, Measurement, SamplingPlan
from perfsuite.progress import Progress, silent
from perfsuite.results.images import Calibration, LayersVerdict, QualityVerdict
from perfsuite.results.machine import Environment
from perfsuite.results.session import RunRecord, TierResult, save_record
from perfsuite.results.verdict import LatencyVerdict
from perfsuite.session.images import ImageGate, is_reference_tier
from perfsuite.settings import Settings
from perfsuite.stores.baselines import Baseline, BaselineStore, RecordedRun, TierBaseline
from perfsuite.stores.references import References, record_references

COMPILE_CACHE = "TORCHINDUCTOR_CACHE_DIR"
"""Environment variable that names inductor's compile cache."""


@dataclass
class Run:
    """A session under way.

    Attributes:
        settings: what was asked for.
        device: where pipelines run.
        checkpoint: where weights come from.
        tiers: what is measured, in the ladder's order.
        store: baselines.
        baseline: what latencies are held against; None if this hardware has none.
        references: what images are held against; None if this checkpoint has none yet.
        record: what has come out so far.
        calibration: thresholds of the quality gate; None if this checkpoint has none.
    """

    settings: Settings
    device: Device
    checkpoint: Checkpoint
    tiers: tuple[Tier, ...]
    store: BaselineStore
    baseline: Baseline | None
    references: References | None
    record: RunRecord
    record_path: Path | None = None
    calibration: Calibration | None = None
    _gate: ImageGate | None = None
    _comparisons: dict[str, Comparison] = field(default_factory=dict)
    _threads_before: int = field(default_factory=torch.get_num_threads)
    _compile_cache_before: str | None = field(default_factory=lambda: os.environ.get(COMPILE_CACHE))

    @property
    def environment(self) -> Environment:
        """Where this run is made."""
        return self.record.environment

    @property
    def plan(self) -> SamplingPlan:
        """How many samples to take of each tier."""
        return SamplingPlan(budget_s=self.settings.budget_s)

    def start_tier(self, tier: Tier) -> None:
        """Note that a tier is about to be built."""
        self._save(replace(self.record.result(tier.name), published_s=tier.published_s))

    def note_built(self, built: BuiltTier) -> None:
        """Keep what building a tier brought to light."""
        self._save(replace(self.record.result(built.tier.name), findings=built.findings))

    def note_failure(self, tier: Tier, error: BaseException) -> None:
        """Keep the first line of what stopped a tier."""
        self._save(replace(self.record.result(tier.name), error=head_of(error)))

    def sampling_goal(self, tier: Tier) -> Goal | None:
        """How many samples of a tier are wanted; None where the whole budget is to be spent.

        A run that others will be held against is recorded in full.
        """
        known = self.baseline.tiers.get(tier.name) if self.baseline else None
        if known is None or self.settings.update is not None:
            return None

        def goal(latency: LatencySamples) -> int:
            compared = self._compare(latency, known)
            if compared is None:
                return len(latency.samples_s)
            return rounds_wanted(compared, self.record.policy)

        return goal

    def judge_measurement(self, measurement: Measurement) -> LatencyVerdict:
        """Judge a measurement against the baseline, store it where asked, and save the record."""
        verdict = self._latency_verdict(measurement)
        if verdict.outcome is not Outcome.INVALID:
            verdict = self._store_run(measurement, verdict)
        known = self.record.result(measurement.tier)
        self._save(replace(known, measurement=measurement, latency=verdict))
        return verdict

    def judge_images(self, built: BuiltTier, progress: Progress = silent) -> QualityVerdict:
        """Make the quality workload's images, judge them, and save the record."""
        verdict = self._image_gate(built, progress).judge_lossy(built, progress)
        self._save(replace(self.record.result(built.tier.name), quality=verdict))
        return verdict

    def judge_exactness(self, tier: Tier, progress: Progress = silent) -> QualityVerdict:
        """Build a tier's exact changes in fp32, judge its images, and save the record."""
        with build_tier(tier, self.checkpoint, self.device, exact_only=True) as exact:
            verdict = self._image_gate(exact, progress).judge_exactness(exact, progress)
        self._save(replace(self.record.result(tier.name), exactness=verdict))
        return verdict

    def judge_layers(self, tier: Tier, progress: Progress = silent) -> LayersVerdict:
        """Hold a tier's quantised layers against its exact build, and save the record."""
        with (
            build_tier(tier, self.checkpoint, self.device, exact_only=True) as exact,
            build_tier(tier, self.checkpoint, self.device) as built,
        ):
            verdict = self._image_gate(built, progress).judge_layers(built, exact, progress)
        self._save(replace(self.record.result(tier.name), layers=verdict))
        return verdict

    def finish(self, *, complete: bool) -> None:
        """Mark the record as complete and undo what preparing has set."""
        torch.set_num_threads(self._threads_before)
        os.environ.pop(COMPILE_CACHE, None)
        if self._compile_cache_before is not None:
            os.environ[COMPILE_CACHE] = self._compile_cache_before
        gc.unfreeze()
        if self.record.tiers:
            self._judge_together()
            self.record = replace(self.record, complete=complete)
            self.record_path = save_record(self.record, self.settings.out)

    def _latency_verdict(self, measurement: Measurement) -> LatencyVerdict:
        if measurement.recompiles:
            reason = (
                f"{measurement.recompiles} graphs were compiled while sampling: "
                "something changes shape between images"
            )
            return without_baseline(measurement.latency, Outcome.INVALID, reason)
        spoilt = invalid_reason(
            measurement.conditions,
            cores=self.environment.hardware.cores,
            threads=self.environment.threads,
        )
        if spoilt:
            return without_baseline(measurement.latency, Outcome.INVALID, spoilt)
        known = self.baseline.tiers.get(measurement.tier) if self.baseline else None
        if known is None:
            reason = f"no baseline for {self.store.hardware_key}"
            return without_baseline(measurement.latency, Outcome.NO_BASELINE, reason)
        compared = self._compare(measurement.latency, known)
        if compared is None:
            reason = probe_mismatch(measurement.latency, known.latencies) or ""
            return without_baseline(measurement.latency, Outcome.INVALID, reason)
        self._comparisons[measurement.tier] = compared
        return decide(compared, self.record.policy, alpha=self._alpha())

    def _compare(self, latency: LatencySamples, known: TierBaseline) -> Comparison | None:
        """A run held against its tier's baseline; None if that has another probe."""
        if probe_mismatch(latency, known.latencies):
            return None
        accepted_s = known.accepted_latency_s if known.was_edited else None
        return compare(latency, known.latencies, self.spread, accepted_s=accepted_s)

    def _alpha(self) -> float:
        """What Holm's procedure leaves to each tier, with what is known so far."""
        policy = self.record.policy
        known = [compared.p_slower for compared in self._comparisons.values()]
        return holm_alpha(known, policy.false_alarm_rate, policy.multiplicity)

    def _judge_together(self) -> None:
        """What the tiers measured later leave to the earlier ones.

        Each test ends with what was known by then. A later refuted hypothesis can only raise the
        alpha of the others, so this adds regressions to a session that has one, and takes none
        away.
        """
        for name, compared in self._comparisons.items():
            known = self.record.result(name)
            verdict = decide(compared, self.record.policy, alpha=self._alpha())
            if verdict.outcome is not Outcome.REGRESSED or known.latency is None:
                continue
            if known.latency.outcome in (Outcome.PASSED, Outcome.INCONCLUSIVE):
                reason = "regressed in the light of the session's other regressions (Holm)"
                verdict = replace(verdict, reason=reason)
                self.record = self.record.with_result(replace(known, latency=verdict))

    @functools.cached_property
    def spread(self) -> Spread:
        """Spread between the baseline's runs, pooled over all its tiers."""
        recorded = self.baseline.tiers.values() if self.baseline else ()
        return steadier_spread((tier.latencies for tier in recorded), self.record.policy.assumed)

    def _store_run(self, measurement: Measurement, verdict: LatencyVerdict) -> LatencyVerdict:
        run = RecordedRun(self.record.run_id, self.environment, measurement.latency)
        settings = self.settings
        if settings.update is not None:
            add = settings.update == "add"
            path = self.store.save_run(settings.baselines, measurement, run, add=add)
            reason = f"one more run of {path}" if add else f"is the new baseline in {path}"
            return replace(verdict, outcome=Outcome.RECORDED, reason=reason)
        if verdict.outcome is not Outcome.NO_BASELINE:
            return verdict
        if self.store.path(settings.baselines).is_file():
            reason = f"the baseline has no tier '{measurement.tier}': add it with --perf-update"
            return replace(verdict, reason=reason)
        if settings.missing != "record":
            return verdict
        path = self.store.save_run(settings.out / "baselines", measurement, run, add=False)
        reason = "no baseline for this hardware yet: this run is now its baseline"
        return replace(verdict, outcome=Outcome.RECORDED, reason=reason)

    def _image_gate(self, built: BuiltTier, progress: Progress) -> ImageGate:
        """The session's one gate; the first fp32 images of a checkpoint become its references."""
        if self._gate is None:
            references = self.references or self._record_references(built, progress)
            pictures = self.settings.out / "runs" / self.record.run_id
            self._gate = ImageGate(references, self.calibration, pictures)
        return self._gate

    def _record_references(self, built: BuiltTier, progress: Progress) -> References:
        if not is_reference_tier(built.tier):
            with build_tier(reference_tier(), self.checkpoint, self.device) as fp32:
                return self._record_references(fp32, progress)
        folder = self.settings.out / "references" / self.store.hardware_key / self.checkpoint.name
        return self.record_references(built, folder, progress)

    def record_references(self, fp32: BuiltTier, folder: Path, progress: Progress) -> References:
        """Make the quality workload's images with fp32 and store them as references."""
        return record_references(
            folder,
            checkpoint=self.checkpoint.name,
            identity=self.record.identity,
            workload=self.checkpoint.quality,
            environment=self.environment,
            images=make_images(fp32, progress=progress),
        )

    def _save(self, result: TierResult) -> None:
        self.record = self.record.with_result(result)
        self.record_path = save_record(self.record, self.settings.out)
