"""How long a gate and a bisection take, from the paces of their tiers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from perfsuite.schedule.paces import Pace

START_S = 15.0
"""Seconds until a worker has imported its libraries."""
INSTALL_S = 300.0
"""Seconds to install a version of torch for an accelerator, which is some gigabytes."""
_WARM_IMAGES = 7
_WARMUP_S = 20.0
"""A worker's warm-up ends when latency has settled, or after so many seconds."""


@dataclass(frozen=True)
class GateShape:
    """What a gate does for each tier.

    Attributes:
        blocks: starts of both arms at the most.
        budget_s: seconds of sampling that were asked for.
        fewest_pairs: samples of each arm in a block, even if the budget is too small for them.
        most_pairs: samples of each arm in a block at the most.
        scored_calls: images of the quality workload, in calls of the timed one; 0 for none.
        cold_arms: arms that begin with an empty compile cache.
    """

    blocks: int
    budget_s: float
    fewest_pairs: int
    most_pairs: int
    scored_calls: float = 0.0
    cold_arms: int = 2

    def sampling_s(self, image_s: float) -> float:
        """Seconds of sampling in all blocks."""
        fitting = int(self.budget_s / self.blocks / (2 * image_s))
        pairs = max(self.fewest_pairs, min(self.most_pairs, fitting))
        return self.blocks * pairs * 2 * image_s

    def over_budget_s(self, image_s: float) -> float:
        """Seconds of sampling beyond the budget, which the fewest pairs ask for; 0 for none."""
        return max(0.0, self.blocks * self.fewest_pairs * 2 * image_s - self.budget_s)

    def tier_s(self, pace: Pace, warm_compile_s: float) -> float:
        """Seconds of a tier if no look settles it before the last.

        Args:
            pace: of the tier; `compile_s` with an empty cache.
            warm_compile_s: seconds that compiling takes with a full cache.
        """
        image_s, compile_s = pace.image_s or 0.0, pace.compile_s or 0.0
        warm = max(2, min(_WARM_IMAGES, int(_WARMUP_S / image_s) + 1)) if image_s else 0
        start_s = (pace.build_s or 0.0) + (warm + 1) * image_s
        starts = self.blocks * (START_S + 2 * (start_s + min(warm_compile_s, compile_s)))
        cold = self.cold_arms * max(0.0, compile_s - warm_compile_s)
        return starts + cold + self.sampling_s(image_s) + 2 * self.scored_calls * image_s


def trials(versions: int) -> int:
    """Gates of a bisection: both ends, the halvings, and the first bad against the last good."""
    between = max(0, versions - 2)
    return 2 + math.ceil(math.log2(between + 1)) + (1 if between else 0)


def bisection_s(
    versions: int, shape: GateShape, pace: Pace, warm_compile_s: float, install_s: float
) -> float:
    """Seconds of a bisection whose every version is new here.

    The good end's compiled code is kept between its gates: it is compiled once, and so is every
    other version.

    Args:
        versions: both ends included.
        shape: of each gate.
        pace: of the tier that is tried.
        warm_compile_s: seconds that compiling takes with a full cache.
        install_s: seconds to install a version.
    """
    gates = trials(versions)
    halvings = max(0, gates - 3)
    cold = (2 + halvings) * max(0.0, (pace.compile_s or 0.0) - warm_compile_s)
    warm = GateShape(
        shape.blocks,
        shape.budget_s,
        shape.fewest_pairs,
        shape.most_pairs,
        shape.scored_calls,
        cold_arms=0,
    )
    return gates * warm.tier_s(pace, warm_compile_s) + cold + halvings * install_s
