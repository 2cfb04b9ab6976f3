"""Pictures of methods that change them on purpose: paired with the reference method's, and judged.

A method makes at least 24 pictures. They are held against those that it made itself in an earlier
session, to which it has to come back, and against the reference method's of the same prompts and
seeds, which it has to equal in every quality that is scored.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from perfsuite.checkpoints import Checkpoint
from perfsuite.device import Device
from perfsuite.errors import OutputError, ReferenceImageError
from perfsuite.images.content import Scorers, content_scorers
from perfsuite.images.generate import GeneratedImage
from perfsuite.images.metrics import Pixels, as_eight_bits, visible_faults
from perfsuite.images.qualities import look, spread_of_seeds
from perfsuite.images.references import References
from perfsuite.images.scoring import make_images
from perfsuite.judge.pictures import PAIRS, judge_pictures
from perfsuite.ladder import BuiltTier, Tier, build_tier, find_tiers
from perfsuite.progress import Progress, silent
from perfsuite.report.pairs import draw_pairs
from perfsuite.results.images import ImageScore
from perfsuite.results.machine import Environment
from perfsuite.results.method import Method
from perfsuite.results.method_reasons import OwnPicturesRecorded
from perfsuite.results.picture_reasons import NoPicture
from perfsuite.results.pictures import PictureScore
from perfsuite.results.verdict import Outcome, Verdict
from perfsuite.settings import Settings
from perfsuite.storage import write_whole
from perfsuite.stores.references import MANIFEST, load_references, record_references
from perfsuite.workload import Workload, Workloads, labelled


@dataclass(frozen=True)
class Gallery:
    """Pictures of one method, and what they score.

    Attributes:
        images: one for each shot, 8-bit levels from 0 to 1.
        scores: one for each.
    """

    images: tuple[Pixels, ...]
    scores: tuple[PictureScore, ...]

    def diversity(self) -> dict[str, float]:
        """By the prompt, mean distance between its seeds; prompts with one seed are left out."""
        groups: dict[str, list[Pixels]] = {}
        for image, score in zip(self.images, self.scores, strict=True):
            groups.setdefault(score.prompt, []).append(image)
        return {name: spread_of_seeds(group) for name, group in groups.items() if len(group) > 1}


@dataclass
class MethodGate:
    """Holds pictures of methods against those of the methods that they stand in for.

    Attributes:
        checkpoint: of the session.
        device: where pipelines run.
        workloads: what is asked of every tier.
        places: folders in which a method's earlier pictures may lie; the last one is written.
        pictures: folder of failure pictures, below `records`.
        environment: of this session.
        records: folder of the record, which paths of pictures start from.
    """

    checkpoint: Checkpoint
    device: Device
    workloads: Workloads
    places: tuple[Path, ...]
    pictures: Path
    environment: Environment
    records: Path
    _galleries: dict[str, Gallery] = field(default_factory=dict)

    @functools.cached_property
    def scorers(self) -> Scorers:
        """What scores whether pictures show what was asked for."""
        return content_scorers(self.checkpoint)

    def provide(self, tier: Tier, progress: Progress = silent) -> None:
        """Make the reference method's pictures, before the method itself takes up the device."""
        name = tier.as_good_as
        if name is None or name in self._galleries:
            return
        (row,) = find_tiers([name])
        with build_tier(
            row, self.checkpoint, self.device, exact_only=True, workloads=self.workloads
        ) as built:
            workload = widened(built.quality)
            images = tuple(make_images(built, workload, progress=progress))
        self._galleries[name] = gallery(images, workload, self.scorers)

    def judge(self, built: BuiltTier, method: Method, progress: Progress = silent) -> Verdict:
        """The verdict on a built method's pictures.

        Args:
            built: the method.
            method: what its row resolved to; earlier pictures are compared only if it is the same.
            progress: told of each picture.
        """
        workload = widened(built.quality)
        images = self.make(built, progress)
        itself, notes = self._itself(built, method, workload, images)
        own = gallery(images, workload, self.scorers)
        verdict = self.compare(built.tier, own, itself)
        verdict = replace(verdict, notes=(*verdict.notes, *notes))
        return self._drawn(verdict, built.tier, own)

    def make(self, built: BuiltTier, progress: Progress = silent) -> tuple[GeneratedImage, ...]:
        """A method's pictures, after those of the method that it stands in for."""
        self.provide(built.tier, progress)
        return tuple(make_images(built, widened(built.quality), progress=progress))

    def compare(self, tier: Tier, own: Gallery, itself: tuple[ImageScore, ...]) -> Verdict:
        """Judge pictures that were made.

        Args:
            tier: the method.
            own: its pictures.
            itself: their scores against those of an earlier session; empty without one.
        """
        other = self._galleries[tier.as_good_as or ""]
        others = other.diversity()
        return judge_pictures(
            tier.as_good_as or "",
            own.scores,
            other.scores,
            {name: (found, others[name]) for name, found in own.diversity().items()},
            itself=itself,
            unavailable=self.scorers.unavailable,
        )

    def _itself(
        self,
        built: BuiltTier,
        method: Method,
        workload: Workload,
        images: tuple[GeneratedImage, ...],
    ) -> tuple[tuple[ImageScore, ...], tuple[OwnPicturesRecorded, ...]]:
        """Scores against the method's own pictures of an earlier session; the first are kept."""
        name = labelled(f"{self.checkpoint.name}--{built.tier.name}", self.workloads.quality_label)
        folders = [place / name for place in self.places]
        for folder in folders:
            if (folder / MANIFEST).is_file():
                stored = self._load(folder, workload, method)
                return stored.score(images, workload), ()
        if any(_faults(image, workload) for image in images):
            return (), ()  # nothing that later sessions should come back to
        record_references(
            folders[-1],
            checkpoint=self.checkpoint.name,
            identity=_identity(method),
            workload=workload,
            environment=self.environment,
            images=images,
            again=lambda shot: next(make_images(built, workload, [shot])),
            configuration=method.configuration,
        )
        return (), (OwnPicturesRecorded(str(folders[-1])),)

    def _load(self, folder: Path, workload: Workload, method: Method) -> References:
        try:
            return load_references(
                folder,
                checkpoint=self.checkpoint.name,
                identity=_identity(method),
                workload=workload,
                configuration=method.configuration,
            )
        except ReferenceImageError as error:
            raise ReferenceImageError(
                error.problem, hint=f"delete {folder}, and the next run keeps its own"
            ) from None

    def _drawn(self, verdict: Verdict, tier: Tier, own: Gallery) -> Verdict:
        """A sheet of pairs of a method that fails; a full disk costs the sheet, not the verdict."""
        if verdict.outcome is not Outcome.REGRESSED or verdict.compared is None:
            return verdict
        other, reference = self._galleries[verdict.compared.reference], verdict.compared.reference
        path = self.pictures / f"pairs-{tier.name}.png"
        title = f"{tier.name} {verdict.outcome.value}: beside {reference}"
        pairs = tuple(
            (f"{score.prompt[:14]} {score.seed}", above, below)
            for score, above, below in zip(own.scores, other.images, own.images, strict=True)
        )
        try:
            write_whole(path, draw_pairs(title, (reference, tier.name), pairs))
        except OutputError as error:
            return replace(verdict, notes=(*verdict.notes, NoPicture(error.problem)))
        shown = str(path.relative_to(self.records))
        return replace(verdict, compared=replace(verdict.compared, pictures=(shown,)))


def places_of(settings: Settings, hardware_key: str) -> tuple[Path, ...]:
    """Where a method's earlier pictures may lie; the last place is this machine's own."""
    return (
        settings.baselines / "references",
        settings.baselines / hardware_key / "references",
        settings.out / "references" / hardware_key,
    )


def widened(workload: Workload) -> Workload:
    """The workload with so many seeds of each prompt that there are enough pairs."""
    wanted = math.ceil(PAIRS / len(workload.prompts))
    seeds = list(workload.seeds)
    seeds += [seed for seed in range(wanted + len(seeds)) if seed not in seeds]
    return replace(workload, seeds=tuple(seeds[: max(wanted, len(workload.seeds))]))


def gallery(images: Sequence[GeneratedImage], workload: Workload, scorers: Scorers) -> Gallery:
    """Pictures as a PNG would hold them, each with its scores."""
    shown = tuple(as_eight_bits(image.pixels) for image in images)
    scores = tuple(
        _score(image, pixels, workload, scorers)
        for image, pixels in zip(images, shown, strict=True)
    )
    return Gallery(shown, scores)


def _score(
    image: GeneratedImage, pixels: Pixels, workload: Workload, scorers: Scorers
) -> PictureScore:
    prompt, seed = image.shot.prompt, image.shot.seed
    faults = _faults(image, workload)
    if faults:
        return PictureScore(prompt, seed, {}, faults)
    content = {each.quality: each.score(pixels, prompt) for each in scorers.known}
    values = {name: value for name, value in content.items() if value is not None}
    return PictureScore(prompt, seed, look(pixels) | values)


def _faults(image: GeneratedImage, workload: Workload) -> tuple[str, ...]:
    height, width = workload.height, workload.width
    found = visible_faults(image.pixels, image.latents, height=height, width=width)
    return found or (() if image.finite else ("another image of the batch is NaN or infinite",))


def _identity(method: Method) -> str:
    """What tells the weights and changes that a method's pictures come from."""
    parts = (method.identity, method.adapter, method.scheduler, *method.changes)
    return " ".join(part for part in parts if part)
