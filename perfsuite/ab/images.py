"""Images of both arms against fp32 references, and against each other."""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.images.generate import GeneratedImage
from perfsuite.images.metrics import as_eight_bits, visible_faults
from perfsuite.images.scoring import score_image
from perfsuite.judge import Outcome
from perfsuite.judge.counters import between_arms
from perfsuite.judge.images import judge_scores
from perfsuite.ladder import Tier
from perfsuite.results.images import Calibration, ImageScore, QualityVerdict, Thresholds
from perfsuite.session.images import REFERENCE_THRESHOLDS, is_reference_tier, thresholds_of
from perfsuite.stores.references import References
from perfsuite.workload import Workload

Images = tuple[GeneratedImage, ...]


@dataclass(frozen=True)
class ArmImages:
    """Scores images of both arms by the code of this one perfsuite.

    Attributes:
        workload: that the images were made for.
        references: fp32 images; None if the checkpoint has none.
        calibration: thresholds; None if the checkpoint has none.
    """

    workload: Workload
    references: References | None
    calibration: Calibration | None

    def thresholds(self, tier: Tier) -> Thresholds:
        """What a tier's images have to be to fp32."""
        if is_reference_tier(tier):
            return REFERENCE_THRESHOLDS
        return thresholds_of(tier, self.calibration)

    def against_references(self, tier: Tier, images: Images) -> QualityVerdict | None:
        """Images against fp32; None without references, or for a tier that has its own."""
        if self.references is None or tier.reference is not None:
            return None
        scores = tuple(
            score_image(image, self.workload, self.references.image(image.shot), latents)
            for image, latents in zip(images, self.references.latents, strict=True)
        )
        return judge_scores(scores, self.thresholds(tier))

    def against_each_other(self, tier: Tier, control: Images, treatment: Images) -> QualityVerdict:
        """The treatment's images against the control's; `invalid` if those are at fault."""
        thresholds = between_arms(self.thresholds(tier))
        for image in control:
            faults = self._faults(image)
            if faults:
                reason = f"the control's own images are at fault: {'; '.join(faults)}"
                shown = ImageScore(image.shot.prompt, image.shot.seed, None, None, faults=faults)
                return QualityVerdict(Outcome.INVALID, reason, thresholds, (shown,))
        scores = tuple(
            score_image(new, self.workload, as_eight_bits(old.pixels), old.latents)
            for old, new in zip(control, treatment, strict=True)
        )
        return judge_scores(scores, thresholds)

    def _faults(self, image: GeneratedImage) -> tuple[str, ...]:
        """Why nothing can be held against an image."""
        height, width = self.workload.height, self.workload.width
        faults = visible_faults(image.pixels, image.latents, height=height, width=width)
        if not faults and not (image.finite and image.latents.any()):
            return ("its latents are zero or not finite",)
        return faults
