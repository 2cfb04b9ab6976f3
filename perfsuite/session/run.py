"""One session: what was asked for, what is known beforehand, and what has come out so far.

A `Run` joins the rooms: it takes measurements and images, has them judged, and saves the record
after each. `perfsuite.session.preflight` makes one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from perfsuite.checkpoints import Checkpoint
from perfsuite.device import Device
from perfsuite.errors import HistoryError, head_of
from perfsuite.history.entries import entry_of_session
from perfsuite.history.keep import keep
from perfsuite.images.references import References
from perfsuite.images.scoring import make_images
from perfsuite.judge.session import Recorded, SessionJudge
from perfsuite.judge.stages import explained
from perfsuite.ladder import BuiltTier, Tier, build_tier, reference_tier
from perfsuite.ladder.table import is_reference_tier
from perfsuite.measure import SamplingPlan, default_budget_s
from perfsuite.measure.profiling import profile_tier
from perfsuite.progress import Progress, silent
from perfsuite.results.images import Calibration
from perfsuite.results.machine import Environment
from perfsuite.results.method import Method
from perfsuite.results.reasons import (
    Incomparable,
    Reason,
)
from perfsuite.results.samples import Goal, Measurement
from perfsuite.results.session import RunRecord, TierResult, save_record
from perfsuite.results.support_reasons import Obstacle
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.session.images import ImageGate
from perfsuite.session.methods import MethodGate, places_of
from perfsuite.session.scored import judge_exactness, judge_images
from perfsuite.session.storing import UNKNOWN_BASELINE, store_run
from perfsuite.session.structure import count, judge_counts
from perfsuite.settings import Settings
from perfsuite.stores.baselines import Baseline, BaselineStore, stages_of
from perfsuite.stores.references import record_references
from perfsuite.workload import Asked, Workloads, labelled


@dataclass
class Run:
    """A session under way, or what it does of one workload: then `siblings` are the others.

    Siblings share the record, and the hypotheses that Holm's procedure weighs.

    Attributes:
        settings: what was asked for.
        device: where pipelines run.
        checkpoint: where weights come from.
        tiers: what can be measured, in the ladder's order.
        store: baselines.
        baseline: what latencies are held against; None if this hardware has none.
        references: what images are held against; None if this checkpoint has none yet.
        record: what has come out so far.
        calibration: thresholds of the quality gate; None if this checkpoint has none.
        workloads: what is asked of every tier; None for the checkpoint's own workloads.
        methods: by the tier's name, what it resolves to.
        refused: by the tier's name, why its baseline is of something else.
        unknown: tiers whose baseline does not tell what was measured.
        obstacles: by the tier's name, why it is not supported here.
        siblings: the session's runs, one for each workload, this one among them.
        p_values: of the session's tests so far, shared with the siblings.
        process: undoes what was set for the whole process.
        scores_images: whether images will be held against references.
        history_problem: why the session is not in the history; None if it is, or is not to be.
        made_references: whether this session has made the references itself.
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
    workloads: Workloads | None = None
    methods: Mapping[str, Method] = field(default_factory=dict)
    refused: Mapping[str, Incomparable] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    obstacles: Mapping[str, Obstacle] = field(default_factory=dict)
    siblings: list[Run] = field(default_factory=list)
    p_values: dict[str, float] = field(default_factory=dict)
    process: ExitStack = field(default_factory=ExitStack)
    scores_images: bool = True
    history_problem: HistoryError | None = None
    made_references: bool = False
    _gate: ImageGate | None = None

    @property
    def environment(self) -> Environment:
        """Where this run is made."""
        return self.record.environment

    @property
    def work(self) -> Workloads:
        """What is asked of every tier."""
        return self.workloads or self.checkpoint.workloads()

    @property
    def asked(self) -> Asked:
        """What an advised command has to name to measure the same."""
        return Asked(self.settings.checkpoint, self.work.options)

    @property
    def matrix_name(self) -> str | None:
        """Tells this run's results from its siblings'; None where there is one workload."""
        return self.work.name if len(self.siblings) > 1 else None

    def at(self, workload: str | None) -> Run:
        """The sibling that measures a workload of that name; this run for None."""
        return next((each for each in self.siblings if each.work.name == workload), self)

    def build(self, tier: Tier, **options: bool) -> BuiltTier:
        """A tier's pipeline, with this run's weights and workloads; close it after use.

        Args:
            tier: the tier.
            **options: of `build_tier`.
        """
        return build_tier(tier, self.checkpoint, self.device, workloads=self.work, **options)

    @property
    def plan(self) -> SamplingPlan:
        """How many samples to take of each tier."""
        return SamplingPlan(self.settings.budget_s or default_budget_s(self.device))

    def provide_references(self, tier: Tier, progress: Progress = silent) -> None:
        """Make missing references, alone on the device, before a tier that cannot make them."""
        if not self.scores_images or not self.checkpoint.has_pictures:
            return
        self.method_gate.provide(tier, progress)
        if not is_reference_tier(tier):
            self._need_references(progress)

    def _need_references(self, progress: Progress) -> References:
        if self.references is None:
            with self.build(reference_tier()) as fp32:
                self.references = self.record_references(fp32, None, progress)
            self.made_references = True
        return self.references

    def start_tier(self, tier: Tier) -> None:
        """Note that a tier is about to be built."""
        work = self.work
        self._save(
            replace(
                self._result(tier.name),
                asked=self.asked,
                published_s=tier.published.seconds if tier.published else None,
                published_against_s=tier.published.against_s if tier.published else None,
                method=self.methods.get(tier.name),
                latency_workload=tier.workload(work.latency),
                quality_workload=tier.workload(work.quality),
            )
        )

    def refuse(self, tier: Tier) -> Verdict | None:
        """Note a tier that is not supported here; None if it is."""
        why = self.obstacles.get(tier.name)
        if why is None:
            return None
        verdict = Verdict(Metric.LATENCY, Outcome.NOT_SUPPORTED, (why,))
        return self._say(self._result(tier.name), verdict)

    def note_built(self, built: BuiltTier) -> None:
        """Keep what building a tier brought to light."""
        notes = (UNKNOWN_BASELINE,) if built.tier.name in self.unknown else ()
        self._save(replace(self._result(built.tier.name), findings=(*notes, *built.findings)))

    def note_failure(self, tier: Tier, error: BaseException) -> None:
        """Keep the first line of what stopped a tier."""
        self._save(replace(self._result(tier.name), error=head_of(error)))

    def sampling_goal(self, tier: Tier) -> Goal | None:
        """How many samples of a tier are wanted; None where the whole budget is to be spent.

        A run that others will be held against is recorded in full.
        """
        return None if self.settings.update is not None else self._judge.goal(tier.name)

    def judge_measurement(self, measurement: Measurement) -> Verdict:
        """Judge a measurement against the baseline, store it where asked, and save the record."""
        verdict = self._judge.judge(
            measurement.tier,
            measurement.unspoilt,
            measurement.conditions,
            measurement.recompiles,
            measurement.recordings,
        )
        verdict = replace(verdict, notes=(*verdict.notes, *measurement.dropped))
        verdict = explained(verdict, measurement, stages_of(self.baseline, measurement.tier))
        if verdict.outcome is not Outcome.INVALID:
            verdict = store_run(self, measurement, verdict)
        known = replace(self._result(measurement.tier), measurement=measurement)
        return self._say(known, verdict)

    def note_profile(self, built: BuiltTier) -> None:
        """Profile an image of a tier, if that was asked for, and save the record."""
        known, folder = self._result(built.tier.name), self.settings.out / "runs"
        if self.settings.profile:
            found = profile_tier(built, folder / self.record.run_id / f"{known.label}.trace.json")
            self._save(replace(known, profile=found))

    def judge_images(self, built: BuiltTier, progress: Progress = silent) -> Verdict:
        """Make the quality workload's images, judge them, and save the record."""
        verdict = judge_images(self, built, progress)
        return self._say(self._result(built.tier.name), verdict)

    def judge_structure(self, built: BuiltTier, progress: Progress = silent) -> Verdict:
        """Count what a tier asks of torch, judge it, and save the record."""
        counted = count(built, progress)
        verdict = judge_counts(self, built.tier.name, counted)
        return self._say(replace(self._result(built.tier.name), counters=counted), verdict)

    def judge_exactness(self, tier: Tier, progress: Progress = silent) -> Verdict:
        """Build a tier's exact changes in fp32, judge its images, and save the record."""
        verdict = judge_exactness(self, tier, progress)
        return self._say(self._result(tier.name), verdict)

    def judge_layers(self, tier: Tier, progress: Progress = silent) -> Verdict:
        """Hold a tier's quantised layers against its exact build, and save the record."""
        verdict = self.image_gate(progress).judge_layers(tier, self.build, progress)
        return self._say(self._result(tier.name), verdict)

    def note_prediction(self, seconds: float) -> None:
        """Keep how long the session was expected to take when that was first known."""
        self._share(replace(self.record, predicted_s=seconds))

    def leave_out(self, tier: str, metric: Metric, why: Reason) -> Verdict:
        """Keep that a part was not measured."""
        return self._say(self._result(tier), Verdict(metric, Outcome.NOT_MEASURED, (why,)))

    def finish(self, *, complete: bool, took_s: float | None = None) -> None:
        """Mark the record as complete, append it, and undo what preparing has set.

        Args:
            complete: whether the session came to its end.
            took_s: seconds that it took; None where nobody has looked.
        """
        self.process.close()
        if self.record.tiers:
            for run in self.siblings or (self,):
                run._judge_together()
            self._keep(replace(self.record, complete=complete, took_s=took_s))
            self.history_problem = keep(entry_of_session(self.record), self.settings.history)

    @functools.cached_property
    def _judge(self) -> SessionJudge:
        """What judges latencies, with all that it needs to know beforehand."""
        tiers = self.baseline.tiers if self.baseline else {}
        return SessionJudge(
            self.record.policy,
            {
                name: Recorded(each.latencies, each.accepted_latency_s if each.was_edited else None)
                for name, each in tiers.items()
            },
            self.store.hardware_key,
            self.environment.cores,
            self.environment.busy_threads,
            refused=self.refused,
            p_values=self.p_values,
            name=self.matrix_name or "",
        )

    def _judge_together(self) -> None:
        """What the tiers measured later leave to the earlier ones."""
        own = [each for each in self.record.tiers if each.workload == self.matrix_name]
        known = {each.tier: each.verdict(Metric.LATENCY) for each in own}
        judged = {tier: verdict for tier, verdict in known.items() if verdict is not None}
        for tier, verdict in self._judge.judge_together(judged).items():
            self._share(self.record.with_result(self._result(tier).with_verdict(verdict)))

    @functools.cached_property
    def method_gate(self) -> MethodGate:
        """What holds pictures of methods against those of the methods that they stand in for."""
        return MethodGate(
            self.checkpoint,
            self.device,
            self.work,
            places_of(self.settings, self.store.hardware_key),
            self._pictures,
            self.environment,
            self.settings.out / "runs",
        )

    @property
    def _pictures(self) -> Path:
        """Folder of failure pictures."""
        return self.settings.out / "runs" / self.record.run_id / (self.matrix_name or "")

    def image_gate(self, progress: Progress) -> ImageGate:
        """The session's one gate; the first fp32 images of a checkpoint become its references."""
        if self._gate is None:
            found = (self._need_references(progress), self.calibration, self._pictures)
            out = self.settings.out / "runs"
            self._gate = ImageGate(*found, self.environment, out, self.made_references)
        return self._gate

    def record_references(
        self, fp32: BuiltTier, folder: Path | None, progress: Progress
    ) -> References:
        """Make the quality workload's images with fp32 and store them; None: among the records."""
        name = labelled(self.checkpoint.name, self.work.quality_label)
        own = self.settings.out / "references" / self.environment.hardware.images_key / name
        return record_references(
            folder or own,
            checkpoint=self.checkpoint.name,
            identity=self.record.identity,
            workload=fp32.quality,
            environment=self.environment,
            images=make_images(fp32, fp32.quality, progress=progress),
            again=lambda shot: next(make_images(fp32, fp32.quality, [shot])),
            configuration=self.methods[fp32.tier.name].configuration,
            asked=self.asked,
        )

    def _result(self, tier: str) -> TierResult:
        return self.record.result(tier, self.matrix_name)

    def _say(self, result: TierResult, verdict: Verdict) -> Verdict:
        self._save(result.with_verdict(verdict))
        return verdict

    def _save(self, result: TierResult) -> None:
        self._keep(self.record.with_result(result))

    def _keep(self, record: RunRecord) -> None:
        self._share(record)
        path = save_record(record, self.settings.out)
        for run in self.siblings or (self,):
            run.record_path = path

    def _share(self, record: RunRecord) -> None:
        for run in self.siblings or (self,):
            run.record = record
