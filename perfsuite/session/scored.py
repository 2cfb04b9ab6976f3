"""What a session scores of one tier: its images, and its exact changes in fp32."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from perfsuite.images.exactness import exactness_workload
from perfsuite.ladder import BuiltTier, Tier, reference_tier
from perfsuite.ladder.table import is_reference_tier
from perfsuite.progress import Progress
from perfsuite.results.picture_reasons import NoPictures
from perfsuite.results.verdict import Metric, Outcome, Verdict

if TYPE_CHECKING:
    from perfsuite.session.run import Run


def judge_images(session: Run, built: BuiltTier, progress: Progress) -> Verdict:
    """Make the quality workload's images with a built tier and judge them."""
    if not session.checkpoint.has_pictures:
        why = NoPictures(session.checkpoint.name)
        return Verdict(Metric.IMAGES, Outcome.NOT_SUPPORTED, (why,))
    if built.tier.as_good_as is not None:
        return session.method_gate.judge(built, session.methods[built.tier.name], progress)
    if is_reference_tier(built.tier) and session.references is None:
        session.references = session.record_references(built, None, progress)
    return session.image_gate(progress).judge_lossy(built, progress)


def judge_exactness(session: Run, tier: Tier, progress: Progress) -> Verdict:
    """Build a tier's exact changes in fp32 and judge its images.

    At a reduced size they are held against fp32 images that are made first, once a session, while
    nothing else is on the device; and nothing searches for the fastest kernels.
    """
    gate = session.image_gate(progress)
    quality = exactness_workload(session.work.quality, session.settings.exactness)
    reduced = quality != session.work.quality
    own = replace(session, workloads=replace(session.work, quality=quality))
    if reduced and tier.reference is None and not gate.has_references_for(quality):
        with own.build(reference_tier()) as fp32:
            gate.make_references(fp32, progress)
    with own.build(tier, exact_only=True, autotunes=not reduced) as exact:
        return gate.judge_exactness(exact, progress)
