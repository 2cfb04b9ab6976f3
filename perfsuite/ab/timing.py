"""What a gate says of its length: before it starts, where that is known, and after each start."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perfsuite.ab.plan import GatePlan
from perfsuite.progress import duration
from perfsuite.results.ab import Arm, TierGate
from perfsuite.schedule.gates import INSTALL_S, GateShape, bisection_s, trials
from perfsuite.schedule.paces import Pace, Paces
from perfsuite.session.timing import assumed, earlier_paces, ladder_work, scored_images

_WORTH_SAYING = 0.2
"""A prediction that has changed by less than this fraction is not said again."""


@dataclass
class GateTimetable:
    """How long a gate takes, from what is known of its tiers so far.

    Attributes:
        tiers: names, in their order.
        shape: what the gate does for each.
        paces: of the tiers.
        warm_compile_s: seconds that compiling takes with a full cache.
        tell: told each prediction, in one line.
        clock: seconds.
    """

    tiers: tuple[str, ...]
    shape: GateShape
    paces: Paces
    warm_compile_s: float
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _begun: float = field(init=False)
    _said_s: float | None = None

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def begin(self) -> None:
        """Say how long it will take at the most, before the first worker starts."""
        if not self.paces.is_founded:
            self.tell(f"{len(self.tiers)} tiers; how long they take is said after the first start")
            return
        self._said_s = self._seconds(self.tiers)
        self.tell(
            f"up to {duration(self._said_s)} for {len(self.tiers)} tiers, by earlier sessions"
        )

    def learn(self, tier: TierGate) -> None:
        """Predict anew after a tier's first start; say where its budget is too small."""
        pace = pace_of_gate(tier)
        if pace is None:
            return
        self.paces = self.paces.knowing(tier.tier, pace)
        over_s = self.shape.over_budget_s(pace.image_s or 0.0)
        if over_s:
            self.tell(
                f"{tier.tier}: {self.shape.fewest_pairs} samples of each arm in each of up to "
                f"{self.shape.blocks} starts take {duration(over_s)} more than --budget "
                f"{self.shape.budget_s:g}"
            )
        coming = self.tiers[self.tiers.index(tier.tier) :]
        predicted_s = self.clock() - self._begun + self._seconds(coming)
        if self._said_s is None or abs(predicted_s / self._said_s - 1) > _WORTH_SAYING:
            self._said_s = predicted_s
            self.tell(f"up to {duration(predicted_s)} in all by {tier.tier}")

    def _seconds(self, tiers: Sequence[str]) -> float:
        return sum(self.shape.tier_s(self.paces.of(tier), self.warm_compile_s) for tier in tiers)


@dataclass
class BisectTimetable:
    """How long a bisection takes, whose every trial is a gate over one tier.

    Attributes:
        trial: of one of its gates.
        versions: both ends included.
    """

    trial: GateTimetable
    versions: int
    _said: bool = False

    def begin(self) -> None:
        """Say how long it will take at the most, before the first version is measured."""
        if self.trial.paces.is_founded:
            self._say()
        else:
            gates = trials(self.versions)
            self.trial.tell(f"{gates} gates; how long they take is said after the first")

    def learn(self, tier: TierGate) -> None:
        """Predict from the first gate, if nothing was known before."""
        pace = pace_of_gate(tier)
        if not self._said and pace is not None:
            self.trial.paces = self.trial.paces.knowing(tier.tier, pace)
            self._say()

    def _say(self) -> None:
        self._said = True
        table = self.trial
        pace = table.paces.of(table.tiers[0])
        seconds = bisection_s(self.versions, table.shape, pace, table.warm_compile_s, INSTALL_S)
        table.tell(f"up to {duration(seconds)} for {trials(self.versions)} gates in all")


def timetable(plan: GatePlan, tell: Callable[[str], None], *, cold_arms: int = 2) -> GateTimetable:
    """A gate's timetable, with what earlier sessions have found here.

    Args:
        plan: of the gate.
        tell: told each prediction.
        cold_arms: arms that begin with an empty compile cache.
    """
    record, work = plan.record, plan.work
    device = plan.device
    images = len(tuple(record.quality_workload.shots())) if work.makes_images else 0
    scored = scored_images(record.quality_workload, images, record.latency_workload)
    known = earlier_paces(plan.out, record, record.latency_workload)
    return GateTimetable(
        tuple(tier.name for tier in plan.tiers),
        GateShape(
            record.policy.blocks,
            work.budget_s * record.policy.blocks,
            work.fewest_pairs,
            work.most_pairs,
            scored.calls,
            cold_arms,
        ),
        Paces(ladder_work(), assumed(device, warm=False), known),
        assumed(device, warm=True).compile_s,
        tell,
    )


def pace_of_gate(tier: TierGate) -> Pace | None:
    """The slower arm's pace in a tier's first start; None if it was not measured."""
    if not tier.blocks:
        return None
    block = tier.blocks[0]
    taken = [block.seconds(arm) for arm in Arm if block.seconds(arm)]
    if not taken or not block.starts:
        return None
    image_s = max(statistics.median(seconds) for seconds in taken)
    starts = block.starts.values()
    compile_s = max(0.0, max(each.first_image_s for each in starts) - image_s)
    return Pace(
        image_s,
        max(each.build_s for each in starts),
        compile_s if block.cold and tier.compiles else None if tier.compiles else 0.0,
    )
