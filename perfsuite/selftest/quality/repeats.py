"""Healthy tiers on images that no threshold has seen: how often is one called a fault?

A repeat of the same seeds on the same machine makes the same images, bit for bit, and proves
nothing. Each repeat here is the quality workload with fresh seeds, its references made by fp32 in
the same session, and judged as in a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from perfsuite.errors import CalibrationError
from perfsuite.images.references import references_of
from perfsuite.judge.images import judge_images
from perfsuite.ladder import Tier
from perfsuite.progress import Progress
from perfsuite.report.messages import say_check
from perfsuite.results.images import ImageScore
from perfsuite.results.verdict import Outcome, Verdict
from perfsuite.session.calibrate import make_references, score_tier, widened
from perfsuite.session.run import Run
from perfsuite.workload import Workload

FIRST_SEED = 1000
"""Far from every seed that thresholds were calibrated with."""
CHUNK = 5
"""Repeats for which a tier is built once; what is done is kept after each chunk."""


@dataclass(frozen=True)
class Repeat:
    """One tier's verdict on one set of fresh seeds.

    Attributes:
        tier: its name.
        seeds: of this set.
        verdict: on the images of all prompts with these seeds.
    """

    tier: str
    seeds: tuple[int, ...]
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether the healthy tier passed, as it should."""
        return self.verdict.outcome is Outcome.PASSED


def repeat_tiers(
    run: Run, repeats: int, begin: Callable[[str], None], progress: Progress, *, after: int = 0
) -> Iterator[Repeat]:
    """Every tier above the reference tier on fresh sets of seeds.

    Args:
        run: names checkpoint, tiers, device and thresholds.
        repeats: how many.
        begin: told of each chunk.
        progress: told of each image.
        after: repeats that have been made before; their seeds are left out.

    Raises:
        CalibrationError: there are no thresholds.
    """
    if run.calibration is None:
        raise CalibrationError(
            f"checkpoint '{run.checkpoint.name}' has no thresholds of the quality gate",
            hint=run.asked.command("calibrate-quality"),
        )
    per_set = len(run.work.quality.seeds)
    for done in range(0, repeats, CHUNK):
        sets = min(CHUNK, repeats - done)
        first = FIRST_SEED + (after + done) * per_set
        workload = widened(run.work.quality, sets * per_set, first=first)
        begin(f"fp32, repeat {after + done + 1}")
        references = references_of(make_references(run, workload, progress), workload)
        for tier in run.tiers:
            if tier.parent is None or tier.reference is not None:
                continue
            begin(f"{tier.name}, repeat {after + done + 1}")
            scores = score_tier(run, tier, workload, references, progress)
            yield from _judged(run, tier, workload, scores)


def summary(repeats: tuple[Repeat, ...]) -> list[str]:
    """One line for each tier: how often it passed, and the nearest that it came to a threshold."""
    lines = []
    for name in dict.fromkeys(each.tier for each in repeats):
        own = [each for each in repeats if each.tier == name]
        checks = [
            check for each in own if each.verdict.images for check in each.verdict.images.checks
        ]
        nearest = max(checks, key=lambda check: check.margin)
        passed = sum(1 for each in own if each.passed)
        failed = ", ".join(str(each.seeds) for each in own if not each.passed)
        lines.append(
            f"{name}: {passed} of {len(own)} repeats passed, nearest to a threshold: "
            f"{say_check(nearest)} "
            f"({10 * nearest.margin:+.1f} dB)" + (f"; failed with seeds {failed}" if failed else "")
        )
    return lines


def _judged(
    run: Run, tier: Tier, workload: Workload, scores: tuple[ImageScore, ...]
) -> Iterator[Repeat]:
    assert run.calibration is not None
    thresholds = run.calibration.thresholds(tier.name)
    if thresholds is None:
        return
    per_set = len(run.work.quality.seeds)
    for start in range(0, len(workload.seeds), per_set):
        seeds = workload.seeds[start : start + per_set]
        own = tuple(
            score
            for score, shot in zip(scores, workload.shots(), strict=True)
            if shot.seed in seeds
        )
        yield Repeat(tier.name, seeds, judge_images(own, thresholds))
