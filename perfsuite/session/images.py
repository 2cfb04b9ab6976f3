"""The images of one session: made with built tiers, scored, judged and, if bad, drawn.

Order of events for a tier: its images are made, looked at without a reference, scored against the
references, and held at the tier's thresholds. Before any tier is blamed, the reference tier itself
is held against its own references. What fails is made once more in a fresh process, which tells two
stable answers apart from damage and never changes a verdict for the better.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from perfsuite.errors import OutputError
from perfsuite.images.calibration import thresholds_of
from perfsuite.images.generate import GeneratedImage, generate
from perfsuite.images.references import (
    References,
    encode_png,
    exactness_shots,
    references_of,
)
from perfsuite.images.scoring import Build, make_images, score_quantised, with_distances
from perfsuite.images.shown import with_sheets
from perfsuite.judge.images import EXACT_THRESHOLDS, judge_images, judge_reference_tier
from perfsuite.judge.layers import ASSUMED_THRESHOLDS, judge_layers
from perfsuite.ladder import BuiltTier, Tier, build_tier, find_tiers, reference_tier
from perfsuite.ladder.table import is_reference_tier
from perfsuite.progress import Progress, silent
from perfsuite.report.messages import say_check
from perfsuite.report.picture import draw_failure
from perfsuite.results.images import Calibration, ImageEvidence
from perfsuite.results.machine import Environment
from perfsuite.results.picture_reasons import (
    FirstReferences,
    NoPicture,
    ReferencesUnchecked,
    ReferenceTierChanged,
)
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.session.again import try_again
from perfsuite.storage import write_whole
from perfsuite.workload import Workload

CHEAP_PIXELS = 128 * 128
"""The reference tier is built just to check the references only for images of at most this size."""


@dataclass
class ImageGate:
    """Holds images of built tiers against references.

    Attributes:
        references: of the checkpoint.
        calibration: thresholds; None if the checkpoint has none.
        pictures: folder of pictures, below `records`.
        environment: of this session.
        records: folder of the record, which paths of pictures start from.
        are_new: whether this session has made the references itself.
        reference_verdict: verdict on the reference tier against its own references; None while it
            has not been checked.
    """

    references: References
    calibration: Calibration | None
    pictures: Path
    environment: Environment
    records: Path
    are_new: bool = False
    reference_verdict: Verdict | None = None
    _own: dict[tuple[str, str], References] = field(default_factory=dict)
    """By the tier that made them and the workload's digest: kept nowhere."""

    def judge_lossy(self, built: BuiltTier, progress: Progress = silent) -> Verdict:
        """All images of the quality workload at the tier's thresholds."""
        workload = built.quality
        if not is_reference_tier(built.tier):
            self.check_reference_tier(built)
        references = self._references_of(built, progress)
        images = tuple(make_images(built, workload, progress=progress))
        scores = references.score(images, workload)
        if is_reference_tier(built.tier):
            verdict = judge_reference_tier(scores, self._versions())
            verdict = self._once_more(verdict, built, images, references)
            drawn = self._drawn(verdict, built.tier.name, images, references)
            self.reference_verdict = self._shown(drawn, built.tier.name, images, references)
            if self.are_new and verdict.outcome is Outcome.PASSED:  # made a moment ago: no news
                recorded = (FirstReferences(),)
                return replace(self.reference_verdict, outcome=Outcome.RECORDED, reasons=recorded)
            return self.reference_verdict
        thresholds = thresholds_of(built.tier, self.calibration)
        if thresholds.ask_nothing:
            scores = with_distances(scores, images, references.image)
        verdict = judge_images(scores, thresholds)
        verdict = self._finish(verdict, built, images, references)
        return self._shown(verdict, built.tier.name, images, references)

    def judge_exactness(self, exact: BuiltTier, progress: Progress = silent) -> Verdict:
        """Float32 pixels of the exactness shots, of a tier with its exact changes only."""
        workload = exact.quality
        self.check_reference_tier(exact)
        references = self._references_of(exact, progress)
        images = tuple(make_images(exact, workload, exactness_shots(workload), progress=progress))
        scores = references.score(images, workload, in_eight_bits=False)
        verdict = judge_images(scores, EXACT_THRESHOLDS, Metric.EXACTNESS)
        return self._finish(verdict, exact, images, references)

    def has_references_for(self, workload: Workload) -> bool:
        """Whether the reference tier's images of a smaller workload have been made."""
        return (reference_tier().name, workload.digest) in self._own

    def make_references(self, fp32: BuiltTier, progress: Progress = silent) -> None:
        """Make those of the workload that the reference tier was built for."""
        images = make_images(fp32, fp32.quality, progress=progress)
        key = (fp32.tier.name, fp32.workloads.quality.digest)
        self._own[key] = references_of(images, fp32.quality)

    def judge_layers(self, tier: Tier, build: Build, progress: Progress = silent) -> Verdict:
        """Quantised layers of a tier against those of its exact build."""
        known = self.calibration.layer_thresholds(tier.name) if self.calibration else None
        scores = score_quantised(tier, build, progress)
        return judge_layers(scores, known or ASSUMED_THRESHOLDS)

    def check_reference_tier(self, built: BuiltTier) -> None:
        """Hold one image of the reference tier against its reference, where that is cheap."""
        workload = built.workloads.quality
        if self.reference_verdict is not None or built.tier.reference is not None:
            return
        if workload.height * workload.width > CHEAP_PIXELS:
            return
        shot = exactness_shots(workload)[0]
        with build_tier(
            reference_tier(), built.checkpoint, built.device, workloads=built.workloads
        ) as fp32:
            image = generate(fp32.pipeline, workload, shot)
        verdict = judge_reference_tier(self.references.score((image,), workload), self._versions())
        name = reference_tier().name
        self.reference_verdict = self._drawn(verdict, name, (image,), self.references)

    def _versions(self) -> tuple[str, ...]:
        return self.references.versions_since(self.environment)

    def _finish(
        self,
        verdict: Verdict,
        built: BuiltTier,
        images: tuple[GeneratedImage, ...],
        references: References,
    ) -> Verdict:
        """Say what all tiers share; draw what has failed."""
        if built.tier.reference is None:
            verdict = _beside_reference_tier(verdict, self.reference_verdict)
        verdict = self._once_more(verdict, built, images, references)
        return self._drawn(verdict, built.tier.name, images, references)

    def _drawn(
        self,
        verdict: Verdict,
        tier: str,
        images: tuple[GeneratedImage, ...],
        references: References,
    ) -> Verdict:
        """A picture of the worst image of what has failed."""
        if verdict.outcome is not Outcome.REGRESSED or verdict.images is None:
            return verdict
        path = self._picture_path(verdict, tier, images)
        drawn = _picture(verdict, verdict.images, tier, images, references)
        return self._with_picture(verdict, verdict.images, path, drawn)

    def _with_picture(
        self, verdict: Verdict, evidence: ImageEvidence, path: Path, png: bytes
    ) -> Verdict:
        """Put a picture before those that a verdict has; a full disk costs it, not the verdict."""
        try:
            write_whole(path, png)
        except OutputError as error:
            return replace(verdict, notes=(*verdict.notes, NoPicture(error.problem)))
        shown = (str(path.relative_to(self.records)), *evidence.pictures)
        return replace(verdict, images=replace(evidence, pictures=shown))

    def _once_more(
        self,
        verdict: Verdict,
        built: BuiltTier,
        images: tuple[GeneratedImage, ...],
        references: References,
    ) -> Verdict:
        """Of a failure, what a fresh process makes of the worst image; it never makes it better."""
        if verdict.outcome is not Outcome.REGRESSED or verdict.images is None:
            return verdict
        evidence, image = verdict.images, _worst(verdict.images, images)
        exact = verdict.metric is Metric.EXACTNESS
        found = try_again(built, image, references, exact_only=exact)
        verdict = replace(verdict, notes=(*verdict.notes, found.reason))
        if found.other is None:
            return verdict
        path = self._picture_path(verdict, built.tier.name, images)
        path = path.with_name(f"{path.stem}-again.png")
        return self._with_picture(verdict, evidence, path, encode_png(found.other.pixels))

    def _shown(
        self,
        verdict: Verdict,
        tier: str,
        images: tuple[GeneratedImage, ...],
        references: References,
    ) -> Verdict:
        return with_sheets(verdict, tier, images, references, self.pictures, self.records)

    def _picture_path(
        self, verdict: Verdict, tier: str, images: tuple[GeneratedImage, ...]
    ) -> Path:
        prefix = "exactness-" if verdict.metric is Metric.EXACTNESS else ""
        worst = _worst(verdict.images, images) if verdict.images else images[0]
        return self.pictures / f"{prefix}{tier}-{worst.shot.index:02d}.png"

    def _references_of(self, built: BuiltTier, progress: Progress) -> References:
        """The checkpoint's references, or those of the method that the tier's row names."""
        name = built.tier.reference
        key = (name or reference_tier().name, built.workloads.quality.digest)
        if name is None:
            return self._own.get(key, self.references)
        if key not in self._own:
            tier = find_tiers([name])[0]
            with build_tier(
                tier,
                built.checkpoint,
                built.device,
                exact_only=True,
                workloads=built.workloads,
            ) as exact:
                images = make_images(exact, exact.quality, progress=progress)
                self._own[key] = references_of(images, exact.quality)
        return self._own[key]


def _beside_reference_tier(verdict: Verdict, reference: Verdict | None) -> Verdict:
    """A tier's verdict, with what is known of the reference tier."""
    if reference is None:
        return replace(verdict, notes=(*verdict.notes, ReferencesUnchecked()))
    shared = tuple(each for each in reference.reasons if isinstance(each, ReferenceTierChanged))
    if verdict.outcome is not Outcome.REGRESSED or not shared:
        return verdict
    return replace(verdict, reasons=(*shared, *verdict.reasons))


def _picture(
    verdict: Verdict,
    evidence: ImageEvidence,
    tier: str,
    images: tuple[GeneratedImage, ...],
    references: References,
) -> bytes:
    exactness = verdict.metric is Metric.EXACTNESS
    image, score = _worst(evidence, images), evidence.worst
    change = f": {evidence.change.value}" if evidence.change else ""
    return draw_failure(
        f"{tier}{' exactness' if exactness else ''} {verdict.outcome.value}{change}",
        f"'{score.prompt}', seed {score.seed}: the worst of {len(images)} images",
        references.pixels[image.shot.index] if exactness else references.image(image.shot),
        image.pixels,
        score,
        evidence.thresholds,
        tuple(say_check(check) for check in evidence.checks if not check.holds),
    )


def _worst(evidence: ImageEvidence, images: tuple[GeneratedImage, ...]) -> GeneratedImage:
    return images[evidence.scores.index(evidence.worst)]
