"""The quality gate of one session: images of built tiers, scored, judged and, if bad, drawn.

Order of events for a tier: its images are made, looked at without a reference, scored against the
references, and held at the tier's thresholds. Before any tier is blamed, fp32 itself is held
against its
own references. Nothing is ever made a second time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from perfsuite.errors import OutputError
from perfsuite.images.generate import GeneratedImage, generate
from perfsuite.images.scoring import make_images, score_image, score_quantised
from perfsuite.judge import Outcome
from perfsuite.judge.images import EXACT_PSNR_DB, VALID_SSIM, judge_scores
from perfsuite.judge.layers import ASSUMED_THRESHOLDS, judge_layers
from perfsuite.ladder import BuiltTier, Tier, build_tier, find_tiers, reference_tier
from perfsuite.progress import Progress, silent
from perfsuite.report.picture import draw_failure
from perfsuite.results.images import Calibration, LayersVerdict, QualityVerdict, Thresholds
from perfsuite.storage import write_whole
from perfsuite.stores.references import References, exactness_shots, references_of

REFERENCE_THRESHOLDS = Thresholds(
    f"fp32 against its own references: SSIM {VALID_SSIM}", worst_ssim=VALID_SSIM
)
EXACT_THRESHOLDS = Thresholds(
    "exactness stage, float32 pixels", worst_psnr_db=EXACT_PSNR_DB, exact=True
)
CHEAP_PIXELS = 128 * 128
"""fp32 is built just to check the references only for images of at most this size."""

_INVALID = "references are not valid on this machine or version: {}; perfsuite record-references"
_UNCHECKED = "fp32 was not held against its own references in this run"


@dataclass
class ImageGate:
    """Holds images of built tiers against references.

    Attributes:
        references: of the checkpoint.
        calibration: thresholds; None if the checkpoint has none.
        pictures: folder of failure pictures.
        reference_verdict: verdict on fp32 against its own references; None while it has not been
        checked.
    """

    references: References
    calibration: Calibration | None
    pictures: Path
    reference_verdict: QualityVerdict | None = None
    _own: dict[str, References] = field(default_factory=dict)

    def judge_lossy(self, built: BuiltTier, progress: Progress = silent) -> QualityVerdict:
        """All images of the quality workload at the tier's thresholds."""
        workload = built.quality
        if not is_reference_tier(built.tier):
            self.check_reference_tier(built)
        references = self._references_of(built, progress)
        images = tuple(make_images(built, workload, progress=progress))
        scores = tuple(
            score_image(image, workload, references.image(image.shot), latents)
            for image, latents in zip(images, references.latents, strict=True)
        )
        if is_reference_tier(built.tier):
            return self._judge_reference_tier(judge_scores(scores, REFERENCE_THRESHOLDS), images)
        verdict = judge_scores(scores, self.thresholds(built.tier))
        return self._finish(verdict, built, images, "")

    def judge_exactness(self, exact: BuiltTier, progress: Progress = silent) -> QualityVerdict:
        """Float32 pixels of the exactness shots, of a tier with its exact changes only."""
        workload = exact.quality
        self.check_reference_tier(exact)
        references = self._references_of(exact, progress)
        shots = exactness_shots(workload)
        images = tuple(make_images(exact, workload, shots, progress=progress))
        scores = tuple(
            score_image(
                image,
                workload,
                references.pixels[image.shot.index],
                references.latents[image.shot.index],
                in_eight_bits=False,
            )
            for image in images
        )
        return self._finish(judge_scores(scores, EXACT_THRESHOLDS), exact, images, "exactness-")

    def judge_layers(
        self, built: BuiltTier, exact: BuiltTier, progress: Progress = silent
    ) -> LayersVerdict:
        """Quantised layers of a tier against those of its exact build."""
        known = self.calibration.layer_thresholds(built.tier.name) if self.calibration else None
        scores = score_quantised(built, exact, exact.quality, progress)
        return judge_layers(scores, known or ASSUMED_THRESHOLDS)

    def thresholds(self, tier: Tier) -> Thresholds:
        """Calibrated thresholds of a tier; without a calibration those of its row."""
        return thresholds_of(tier, self.calibration)

    def check_reference_tier(self, built: BuiltTier) -> None:
        """Hold one fp32 image against its reference, where that is cheap and nobody has."""
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
        score = score_image(
            image, workload, self.references.image(shot), self.references.latents[shot.index]
        )
        self._judge_reference_tier(judge_scores((score,), REFERENCE_THRESHOLDS), (image,))

    def _judge_reference_tier(
        self, verdict: QualityVerdict, images: tuple[GeneratedImage, ...]
    ) -> QualityVerdict:
        """What fp32 fails, the references fail: no tier is blamed for it."""
        if verdict.outcome is Outcome.REGRESSED:
            reason = _INVALID.format(f"fp32 itself has {verdict.reason}")
            verdict = replace(verdict, outcome=Outcome.INVALID, reason=reason, change=None)
            verdict = self._drawn(verdict, "fp32", images, "", self.references)
        self.reference_verdict = verdict
        return verdict

    def _finish(
        self,
        verdict: QualityVerdict,
        built: BuiltTier,
        images: tuple[GeneratedImage, ...],
        prefix: str,
    ) -> QualityVerdict:
        """Blame the references where they are at fault; draw what has failed."""
        own = built.tier.reference is not None
        if (
            not own
            and self.reference_verdict is not None
            and self.reference_verdict.outcome is Outcome.INVALID
        ):
            return replace(
                verdict, outcome=Outcome.INVALID, reason=self.reference_verdict.reason, change=None
            )
        if not own and self.reference_verdict is None:
            verdict = replace(verdict, notes=(*verdict.notes, _UNCHECKED))
        if verdict.outcome is not Outcome.REGRESSED:
            return verdict
        references = self._own.get(built.tier.reference or "", self.references)
        return self._drawn(verdict, built.tier.name, images, prefix, references)

    def _drawn(
        self,
        verdict: QualityVerdict,
        tier: str,
        images: tuple[GeneratedImage, ...],
        prefix: str,
        references: References,
    ) -> QualityVerdict:
        """A picture of the worst image; a disk that is full costs the picture, not the verdict."""
        worst = verdict.scores.index(verdict.worst)
        image, score = images[worst], verdict.scores[worst]
        change = f": {verdict.change.value}" if verdict.change else ""
        picture = draw_failure(
            f"{tier}{' exactness' if prefix else ''} {verdict.outcome.value}{change}",
            f"'{score.prompt}', seed {score.seed}: the worst of {len(images)} images",
            references.pixels[image.shot.index] if prefix else references.image(image.shot),
            image.pixels,
            score,
            verdict.thresholds,
            tuple(str(found) for found in verdict.findings if not found.holds),
        )
        path = self.pictures / f"{prefix}{tier}-{image.shot.index:02d}.png"
        try:
            write_whole(path, picture)
        except OutputError as error:
            return replace(verdict, notes=(*verdict.notes, f"no picture: {error.problem}"))
        return replace(verdict, pictures=(str(path),))

    def _references_of(self, built: BuiltTier, progress: Progress) -> References:
        """The checkpoint's references, or those of the method that the tier's row names."""
        name = built.tier.reference
        if name is None:
            return self.references
        if name not in self._own:
            tier = find_tiers([name])[0]
            with build_tier(
                tier,
                built.checkpoint,
                built.device,
                exact_only=True,
                workloads=built.workloads,
            ) as exact:
                images = make_images(exact, exact.quality, progress=progress)
                self._own[name] = references_of(images, exact.quality)
        return self._own[name]


def is_reference_tier(tier: Tier) -> bool:
    """Whether a tier is what references are made with."""
    return tier.parent is None and tier.reference is None


def thresholds_of(tier: Tier, calibration: Calibration | None) -> Thresholds:
    """Calibrated thresholds of a tier's images; without a calibration those of its row."""
    known = calibration.thresholds(tier.name) if calibration else None
    return known or Thresholds("the tier's row, not calibrated", worst_ssim=tier.min_ssim)
