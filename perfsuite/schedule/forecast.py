"""How long the parts of a session will take, from the paces of its tiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from perfsuite.results.verdict import Metric
from perfsuite.schedule.paces import Pace, Paces
from perfsuite.schedule.parts import Part


@dataclass(frozen=True)
class Sampling:
    """How many images are made to take a tier's time.

    Attributes:
        budget_s: seconds of sampling, at the most.
        min_rounds: samples even if the budget is too small for them.
        max_rounds: samples at the most.
        warm_images: images between the first and the first sample, usually.
        probe_share: seconds of the probe for each second of samples.
    """

    budget_s: float
    min_rounds: int = 6
    max_rounds: int = 400
    warm_images: int = 6
    probe_share: float = 0.15

    def seconds(self, image_s: float) -> float:
        """Seconds of warm-up and sampling together, at a pace.

        Warm-up may take half of the budget, but has two warm images at least.
        """
        round_s = image_s * (1 + self.probe_share)
        warm = max(2, min(self.warm_images, int(self.budget_s / 2 / image_s) + 1))
        rounds = max(self.min_rounds, min(self.max_rounds, int(self.budget_s / round_s)))
        return (warm + rounds) * round_s


@dataclass(frozen=True)
class ScoredImages:
    """Images that are scored.

    Attributes:
        images: how many.
        cost: of each, as a multiple of a call of the timed workload at the same pace.
    """

    images: int
    cost: float

    @property
    def calls(self) -> float:
        """Calls of the timed workload that take as long."""
        return self.images * self.cost


@dataclass(frozen=True)
class Forecast:
    """What a session's parts will take.

    Attributes:
        paces: of all tiers.
        sampling: how many images are timed.
        scored: images of the quality workload.
        exact: images of the exactness stage.
        makes_references: whether the references are still to be made.
        held_apart: whether the exactness stage makes references of its own first.
        live: the tier whose pipeline is built; None if there is none.
    """

    paces: Paces
    sampling: Sampling
    scored: ScoredImages
    exact: ScoredImages
    makes_references: bool = False
    held_apart: bool = False
    live: str | None = None

    def begun(self, part: Part) -> Forecast:
        """The same once a part is under way: what is done for the first of its kind is done."""
        first = self.paces.ladder[0].tier
        return replace(
            self,
            live=None if _builds_its_own(part) else part.tier,
            makes_references=self.makes_references and not _scores(part) and part.tier == first,
            held_apart=self.held_apart and part.metric is not Metric.EXACTNESS,
        )

    def knowing(self, tier: str, pace: Pace) -> Forecast:
        """The same with what has become known of a tier."""
        return replace(self, paces=self.paces.knowing(tier, pace))

    def seconds(self, parts: Sequence[Part]) -> float:
        """Seconds of some parts of one workload, in their order, with all that is done for them.

        A pipeline is built once for parts of one tier that follow each other. Parts of no tier, and
        of tiers that are not registered, count for nothing.
        """
        total, live = 0.0, self.live
        references, apart = self.makes_references, self.held_apart
        ladder = {work.tier for work in self.paces.ladder}
        for part in [each for each in parts if each.tier in ladder]:
            if _scores(part) and references:
                total += self._references_s(part)
                references = False
            if part.metric is Metric.EXACTNESS and apart:
                calls = self.scored.images * self.exact.cost
                total += self._reference_tier_s(calls) + self.paces.assumed.build_s
                apart = False
            if not _builds_its_own(part) and part.tier != live:
                pace = self.paces.of(part.tier)
                total += (pace.build_s or 0.0) + (pace.compile_s or 0.0)
                live = part.tier
            total += self._own_s(part)
        return total

    def _own_s(self, part: Part) -> float:
        """What a part takes beside the build of its tier's pipeline."""
        pace = self.paces.of(part.tier)
        image_s = pace.image_s or 0.0
        if part.metric is Metric.LATENCY:
            return self.sampling.seconds(image_s)
        if part.metric is Metric.IMAGES:
            return image_s * self.scored.calls
        if part.metric is Metric.STRUCTURE:
            return self.paces.eager_image_s(part.tier)
        if part.metric is None:
            return image_s
        exact_s = (pace.build_s or 0.0) + self._reference_tier_s(self.exact.cost)
        if part.metric is Metric.LAYERS:  # compiled code runs eagerly there
            return exact_s + (pace.build_s or 0.0)
        compile_s = self.paces.assumed.exact_compile_s if self.paces.is_compiled(part.tier) else 0.0
        return exact_s + compile_s + self._reference_tier_s(self.exact.calls - self.exact.cost)

    def _references_s(self, part: Part) -> float:
        """Every scored image once by the reference tier, one twice, and its build if need be."""
        first = self.paces.ladder[0].tier
        build_s = 0.0 if part.tier == first else self.paces.of(first).build_s or 0.0
        return build_s + self._reference_tier_s(self.scored.calls + self.scored.cost)

    def _reference_tier_s(self, calls: float) -> float:
        """So many calls of the reference tier: no exact build is slower."""
        return (self.paces.of(self.paces.ladder[0].tier).image_s or 0.0) * calls


def _scores(part: Part) -> bool:
    return part.metric not in (None, Metric.LATENCY, Metric.STRUCTURE)


def _builds_its_own(part: Part) -> bool:
    return part.metric in (Metric.EXACTNESS, Metric.LAYERS)
