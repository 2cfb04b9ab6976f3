"""Planting every fault, and asking each check what it says.

Faults go into real pipelines of the ladder: one with all exact changes in fp32, one with the same
changes at reduced precision, and one with quantised layers. Compiled code runs eagerly, so that a
fault costs seconds and not a compilation; the healthy tiers are checked compiled, as users run
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch

from perfsuite.images.calibration import thresholds_of
from perfsuite.images.generate import generate
from perfsuite.images.layers import capture_activations, quantised_layers, score_layers
from perfsuite.images.references import References, exactness_shots
from perfsuite.images.scoring import make_images
from perfsuite.judge.images import EXACT_THRESHOLDS, judge_images
from perfsuite.judge.layers import ASSUMED_THRESHOLDS, judge_layers
from perfsuite.ladder import BuiltTier, Tier, changes_layers, expand, find_tiers, has_exactness
from perfsuite.progress import Progress
from perfsuite.results.images import ImageScore
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.selftest.quality.fault import Fault, Stage
from perfsuite.session.images import ImageGate
from perfsuite.session.run import Run


@dataclass(frozen=True)
class Trial:
    """What the checks said of one fault, of a harmless change, or of a healthy tier.

    Attributes:
        name: of the fault or tier.
        imitates: what it stands for.
        expected: which check should catch it; None if none should.
        url: a report of such a bug.
        exactness: verdict of that stage; None if it was not asked.
        lossy: verdict of that stage.
        layers: verdict on quantised layers.
        pictures: verdict on a method's pictures.
        error: what the library raised, if it did: that too is a fault caught.
    """

    name: str
    imitates: str
    expected: Stage | None
    url: str | None = None
    exactness: Verdict | None = None
    lossy: Verdict | None = None
    layers: Verdict | None = None
    error: str | None = None
    pictures: Verdict | None = None

    @property
    def caught_by(self) -> tuple[str, ...]:
        """The checks that failed."""
        stages = (
            ("exactness", self.exactness),
            ("lossy", self.lossy),
            ("layers", self.layers),
            ("pictures", self.pictures),
        )
        failed = [name for name, each in stages if each and each.outcome is Outcome.REGRESSED]
        visible = [each for each in (self.exactness, self.lossy) if each and _visible(each)]
        return (
            *(("error",) if self.error else ()),
            *(("visible",) if visible else ()),
            *failed,
        )


@dataclass(frozen=True)
class Report:
    """All trials of one run.

    Attributes:
        checkpoint: names the checkpoint.
        identity: of its weights.
        faults: planted faults.
        harmless: changes that must pass.
        healthy: the tiers as they are.
    """

    checkpoint: str
    identity: str
    faults: tuple[Trial, ...] = ()
    harmless: tuple[Trial, ...] = ()
    healthy: tuple[Trial, ...] = ()

    def with_trial(self, trial: Trial) -> Report:
        """The report with one more fault, or healthy tier."""
        if trial.expected is None:
            return replace(self, healthy=(*self.healthy, trial))
        return replace(self, faults=(*self.faults, trial))

    @property
    def caught(self) -> int:
        """How many faults were caught."""
        return sum(1 for trial in self.faults if trial.caught_by)

    @property
    def alarms(self) -> tuple[Trial, ...]:
        """Harmless changes and healthy tiers that were called faults."""
        return tuple(trial for trial in (*self.harmless, *self.healthy) if trial.caught_by)


class Bench:
    """Pipelines that faults are planted into, and what they are held against.

    Args:
        run: names checkpoint, device and calibration.
        references: of the checkpoint.
    """

    def __init__(self, run: Run, references: References) -> None:
        self._run, self._references = run, references
        self._stack = ExitStack()

    def __enter__(self) -> Bench:
        """Build the pipelines."""
        quantised = quantised_tier()
        plain = find_tiers([quantised.parent or "fp32"])[0]
        enter, run = self._stack.enter_context, self._run
        enter(torch.compiler.set_stance("force_eager"))
        self._exact = enter(run.build(quantised, exact_only=True))
        self._plain = enter(run.build(plain))
        self._quantised = enter(run.build(quantised))
        workload = run.work.quality
        shot = next(workload.shots())
        self._activations = capture_activations(
            self._exact.pipeline,
            quantised_layers(self._quantised.pipeline),
            lambda: generate(self._exact.pipeline, workload, shot),
            calls=(0, workload.steps // 2),
        )
        return self

    def __exit__(self, *details: object) -> None:
        """Free them."""
        self._stack.close()

    def try_fault(self, fault: Fault, progress: Progress) -> Trial:
        """Plant a fault wherever it can be planted, and ask every check."""
        trial = Trial(fault.name, fault.imitates, fault.stage, fault.url)
        try:
            if fault.stage is Stage.LAYERS:
                return self._try_layers(trial, fault, progress)
            trial = replace(trial, exactness=self._try_exactness(fault, progress))
            return replace(trial, lossy=self._try_lossy(self._plain, fault, progress))
        except (RuntimeError, ValueError, IndexError) as error:
            head = str(error).strip().splitlines()[0]
            return replace(trial, error=f"{type(error).__name__}: {head}")

    def _try_exactness(self, fault: Fault, progress: Progress) -> Verdict:
        exact = self._exact
        workload = replace(exact.quality, batch_size=fault.batch_size)
        with fault.patch(exact.pipeline):
            shots = exactness_shots(workload)
            images = tuple(make_images(exact, workload, shots, progress=progress))
        scores = self._references.score(images, workload, in_eight_bits=False)
        return judge_images(scores, EXACT_THRESHOLDS, Metric.EXACTNESS)

    def _try_lossy(self, built: BuiltTier, fault: Fault, progress: Progress) -> Verdict:
        """All images; only the first few where their worst has failed, since it stays the worst."""
        workload = replace(built.quality, batch_size=fault.batch_size)
        thresholds = thresholds_of(built.tier, self._run.calibration)
        few = exactness_shots(workload)
        rest = tuple(shot for shot in workload.shots() if shot not in few)
        scores: tuple[ImageScore, ...] = ()
        for shots in (few, rest):
            with fault.patch(built.pipeline):
                images = tuple(make_images(built, workload, shots, progress=progress))
            scores += self._references.score(images, workload)
            worst = replace(
                thresholds, mean_ssim=None, mean_psnr_db=None, median_ssim=None, median_psnr_db=None
            )
            if judge_images(scores, worst).outcome is Outcome.REGRESSED:
                break
        return judge_images(scores, thresholds)

    def _try_layers(self, trial: Trial, fault: Fault, progress: Progress) -> Trial:
        pipeline, calibration = self._quantised.pipeline, self._run.calibration
        known = calibration.layer_thresholds(self._quantised.tier.name) if calibration else None
        with fault.patch(pipeline):
            scores = score_layers(quantised_layers(pipeline), self._activations)
        layers = judge_layers(scores, known or ASSUMED_THRESHOLDS)
        lossy = self._try_lossy(self._quantised, fault, progress)
        return replace(trial, layers=layers, lossy=lossy)


def quantised_tier() -> Tier:
    """The ladder's highest tier that quantises layers."""
    ladder = find_tiers(expand(None))
    return [tier for tier in ladder if changes_layers(tier)][-1]


def try_tiers(
    run: Run, gate: ImageGate, begin: Callable[[str], None], progress: Progress
) -> Iterator[Trial]:
    """Every healthy tier through every check that is for it, compiled as users run it."""
    for tier in run.tiers:
        begin(tier.name)
        with run.build(tier) as built:
            lossy = gate.judge_lossy(built, progress)
        exactness = layers = None
        if has_exactness(tier):
            with run.build(tier, exact_only=True) as exact:
                exactness = gate.judge_exactness(exact, progress)
        if changes_layers(tier):
            layers = gate.judge_layers(tier, run.build, progress)
        yield Trial(tier.name, "healthy tier", None, None, exactness, lossy, layers)


def try_faults(
    bench: Bench, faults: Iterable[Fault], begin: Callable[[str], None], progress: Progress
) -> Iterator[Trial]:
    """Every fault in turn."""
    for fault in faults:
        begin(fault.name)
        yield bench.try_fault(fault, progress)


def _visible(verdict: Verdict) -> bool:
    return verdict.images is not None and any(each.faults for each in verdict.images.scores)
