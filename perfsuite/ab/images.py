"""Images of both arms against fp32 references, and against each other."""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.images.calibration import thresholds_of
from perfsuite.images.generate import GeneratedImage
from perfsuite.images.metrics import visible_faults
from perfsuite.images.references import References, references_of
from perfsuite.judge.counters import between_arms
from perfsuite.judge.images import REFERENCE_THRESHOLDS, judge_images
from perfsuite.ladder import Tier
from perfsuite.ladder.table import is_reference_tier
from perfsuite.results.images import Calibration, ImageEvidence, ImageScore, Thresholds
from perfsuite.results.picture_reasons import ControlAtFault, ImageFaults
from perfsuite.results.verdict import Metric, Outcome, Verdict
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

    def against_references(self, tier: Tier, images: Images) -> Verdict | None:
        """Images against fp32; None without references, or for a tier that has its own."""
        if self.references is None or tier.reference is not None:
            return None
        return judge_images(self.references.score(images, self.workload), self.thresholds(tier))

    def against_each_other(self, tier: Tier, control: Images, treatment: Images) -> Verdict:
        """The treatment's images against the control's; `invalid` if those are at fault."""
        thresholds = between_arms(self.thresholds(tier))
        for image in control:
            faults = self._faults(image)
            if faults:
                found = ImageFaults(faults, image.shot.prompt, image.shot.seed)
                shown = ImageScore(image.shot.prompt, image.shot.seed, None, None, faults=faults)
                evidence = ImageEvidence(thresholds, (shown,))
                at_fault = (ControlAtFault(found),)
                return Verdict(Metric.SAME_IMAGES, Outcome.INVALID, at_fault, images=evidence)
        scores = references_of(control, self.workload).score(treatment, self.workload)
        return judge_images(scores, thresholds, Metric.SAME_IMAGES)

    def _faults(self, image: GeneratedImage) -> tuple[str, ...]:
        """Why nothing can be held against an image."""
        height, width = self.workload.height, self.workload.width
        faults = visible_faults(image.pixels, image.latents, height=height, width=width)
        if not faults and not (image.finite and image.latents.any()):
            return ("its latents are zero or not finite",)
        return faults
