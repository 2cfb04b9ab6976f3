"""How fast tiers are: what is known of them, and what is expected of the others.

What was measured in this session counts first, then what earlier sessions have stored. A tier of
which nothing is known is expected to be as much faster than one that is known as others have
published, or as fast where nobody has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Pace:
    """How fast a tier is; None where it is not known.

    Attributes:
        image_s: seconds of one warm call of the timed workload.
        build_s: seconds for loading and changing the pipeline.
        compile_s: seconds by which the first image took longer than a warm one.
    """

    image_s: float | None = None
    build_s: float | None = None
    compile_s: float | None = None

    def or_else(self, other: Pace) -> Pace:
        """What is known here, and where nothing is, what is known there."""
        return Pace(
            other.image_s if self.image_s is None else self.image_s,
            other.build_s if self.build_s is None else self.build_s,
            other.compile_s if self.compile_s is None else self.compile_s,
        )


@dataclass(frozen=True)
class TierWork:
    """What is known of a tier before it is built.

    Attributes:
        tier: its name.
        is_compiled: whether its first image compiles.
        published_s: seconds per image that others have published; None if nobody has.
    """

    tier: str
    is_compiled: bool
    published_s: float | None = None


@dataclass(frozen=True)
class Assumptions:
    """What is taken for granted until it is known.

    Attributes:
        build_s: seconds to load and change a pipeline.
        compile_s: seconds that a compiled tier's first image takes longer.
        exact_compile_s: the same of its exact build.
    """

    build_s: float
    compile_s: float
    exact_compile_s: float


@dataclass(frozen=True)
class Paces:
    """All tiers' paces, known or expected.

    Attributes:
        ladder: all tiers, the reference tier first, each after its parent.
        assumed: what is taken for granted.
        known: paces by tier, of this session or of earlier ones.
    """

    ladder: tuple[TierWork, ...]
    assumed: Assumptions
    known: Mapping[str, Pace] = field(default_factory=dict)

    @property
    def is_founded(self) -> bool:
        """Whether any tier's pace is known: without one there is nothing to predict from."""
        return any(pace.image_s is not None for pace in self.known.values())

    def knowing(self, tier: str, pace: Pace) -> Paces:
        """The same with what has become known of a tier."""
        earlier = self.known.get(tier, Pace())
        return replace(self, known={**self.known, tier: pace.or_else(earlier)})

    def is_compiled(self, tier: str) -> bool:
        """Whether a tier's first image compiles."""
        return self._work(tier).is_compiled

    def of(self, tier: str) -> Pace:
        """A tier's pace, known or estimated.

        Raises:
            ValueError: nothing is known of any tier.
        """
        work = self._work(tier)
        usual = Pace(build_s=self.assumed.build_s, compile_s=self._usual_compile_s(work))
        known = self.known.get(tier, Pace()).or_else(usual)
        return known if known.image_s is not None else replace(known, image_s=self._estimate(work))

    def eager_image_s(self, tier: str) -> float:
        """An image without compiled code: as fast as the nearest rung below that compiles none."""
        names = [each.tier for each in self.ladder]
        below = self.ladder[: names.index(tier) + 1]
        eager = [each.tier for each in below if not each.is_compiled]
        return self.of(eager[-1] if eager else tier).image_s or 0.0

    def _work(self, tier: str) -> TierWork:
        return next(each for each in self.ladder if each.tier == tier)

    def _usual_compile_s(self, work: TierWork) -> float:
        """What the last compiled tier took, or what is assumed of the first."""
        if not work.is_compiled:
            return 0.0
        compiled = (self.known.get(each.tier, Pace()) for each in self.ladder if each.is_compiled)
        known = [pace.compile_s for pace in compiled if pace.compile_s is not None]
        return known[-1] if known else self.assumed.compile_s

    def _estimate(self, work: TierWork) -> float:
        """From the nearest tier of which something is known; of two, from that below."""
        names = [each.tier for each in self.ladder]
        place = names.index(work.tier)
        known = [
            (abs(names.index(each.tier) - place), names.index(each.tier) > place, each)
            for each in self.ladder
            if self.known.get(each.tier, Pace()).image_s is not None
        ]
        if not known:
            raise ValueError("nothing is known of any tier")
        _, _, nearest = min(known, key=lambda each: each[:2])
        image_s = self.known[nearest.tier].image_s or 0.0
        if work.published_s is None or nearest.published_s is None:
            return image_s
        return image_s * work.published_s / nearest.published_s
