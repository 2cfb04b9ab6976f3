"""One gate: for each tier, blocks of both arms until the question is settled."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import msgspec

from perfsuite.ab.block import BlockTaker
from perfsuite.ab.images import Images
from perfsuite.ab.plan import GatePlan
from perfsuite.ab.timing import GateTimetable
from perfsuite.errors import ArmFailed, EnvironmentBroken, GateError
from perfsuite.images.shown import with_sheets
from perfsuite.judge.ab import FEWEST_BLOCKS, judge_tier, paired_blocks
from perfsuite.judge.paired import compare, is_settled
from perfsuite.judge.structure import judge_arms, not_counted
from perfsuite.ladder import Tier, is_compiled
from perfsuite.progress import Progress
from perfsuite.results.ab import (
    Arm,
    ArmFacts,
    Failure,
    GateRecord,
    TierGate,
    record_path,
    save_gate,
)
from perfsuite.results.reasons import BlockUnfinished, Reason
from perfsuite.results.verdict import Verdict
from perfsuite.workers.client import Worker
from perfsuite.workers.protocol import Counts, Hello

OpenWorker = Callable[[Arm, str], Worker]
"""Starts one arm for a tier of that name."""


class Line(Protocol):
    """Says what is going on; `perfsuite.progress.ProgressLine` is one."""

    def begin(self, title: str) -> None:
        """What the next steps are about."""

    def update(self, what: str, done: int, total: int) -> None:
        """One step."""


@dataclass
class Session:
    """A gate under way.

    Attributes:
        plan: what it will do.
        open_worker: starts one arm.
        line: told of every step.
        clock: seconds.
        enough: whether a tier's blocks answer what is asked; None if that is the latency.
        tell: told what differs in what both arms ask of torch, before anything is sampled.
        timetable: says how long it takes; None says nothing.
        record: what has come out so far; saved after every block.
    """

    plan: GatePlan
    open_worker: OpenWorker
    line: Line
    clock: Callable[[], float] = time.monotonic
    enough: Callable[[TierGate], bool] | None = None
    tell: Callable[[TierGate], None] = lambda tier: None
    timetable: GateTimetable | None = None
    record: GateRecord = field(init=False)
    path: Path | None = None

    def __post_init__(self) -> None:
        self.record = self.plan.record

    def run(self) -> GateRecord:
        """Every tier, one after the other.

        Ctrl-C ends the tier that is under way; the record keeps what it has got.

        Raises:
            EnvironmentBroken: an arm cannot work at all.
        """
        if self.timetable is not None:
            self.timetable.begin()
        try:
            for tier in self.plan.tiers:
                self.line.begin(tier.name)
                self._run_tier(tier)
            self.record = replace(self.record, complete=True)
        except KeyboardInterrupt:
            self.record = replace(self.record, interrupted=True)
        self.path = save_gate(self.record, self.plan.out)
        return self.record

    def _run_tier(self, tier: Tier) -> None:
        self._keep(TierGate(tier.name, is_compiled(tier)))
        try:
            for number in range(self.record.policy.blocks):
                self._take(tier, number)
                if number == 0 and self.timetable is not None:
                    self.timetable.learn(self._known(tier))
                if self._is_settled(tier):
                    return
        except EnvironmentBroken as error:
            self._fail(tier, Failure(None, str(error)))
            raise
        except ArmFailed as error:
            self._fail(tier, self._blame(tier, error))
        except GateError as error:
            self._fail(tier, Failure(None, str(error)))

    def _take(self, tier: Tier, number: int) -> None:
        """One block; what an error leaves of it is kept, and never judged."""
        work = self.plan.work
        request = msgspec.structs.replace(work.request, tier=tier.name)
        taker = BlockTaker(
            replace(work, request=request),
            lambda name: self.open_worker(name, tier.name),
            number,
            self._progress(number),
            self.clock,
        )
        taker.on_counted = lambda: self._judge_structure(tier, taker)
        spoilt: Reason | None = BlockUnfinished()
        try:
            block = taker.take()
            spoilt = None
        finally:
            self._meet(taker)
            if spoilt is not None:
                block = taker.record(spoilt)
            known = self._known(tier)
            if block.samples:
                known = replace(known, blocks=(*known.blocks, block))
            self._keep(known)
        self._judge(tier, taker)

    def _judge_structure(self, tier: Tier, taker: BlockTaker) -> None:
        control, treatment = taker.counts[Arm.CONTROL], taker.counts[Arm.TREATMENT]
        packages = [taker.hellos[name].packages for name in Arm]
        known = replace(
            self._known(tier),
            control_counters=control.counters,
            treatment_counters=treatment.counters,
            structure=_on_both(control, treatment, same_versions=packages[0] == packages[1]),
        )
        self._keep(known)
        self.tell(known)

    def _judge(self, tier: Tier, taker: BlockTaker) -> None:
        known = self._known(tier)
        if taker.images:
            control, treatment = taker.images[Arm.CONTROL], taker.images[Arm.TREATMENT]
            judge = self.plan.images
            known = replace(
                known,
                control_images=self._shown(
                    judge.against_references(tier, control), tier, Arm.CONTROL, control
                ),
                treatment_images=self._shown(
                    judge.against_references(tier, treatment), tier, Arm.TREATMENT, treatment
                ),
                same_images=judge.against_each_other(tier, control, treatment),
            )
        self._keep(replace(known, verdicts=judge_tier(known, self.record.policy)))

    def _shown(
        self, verdict: Verdict | None, tier: Tier, arm: Arm, images: Images
    ) -> Verdict | None:
        """One arm's verdict with its images beside the record, if there are references."""
        references = self.plan.images.references
        if verdict is None or references is None:
            return verdict
        records = record_path(self.record.gate_id, self.plan.out).parent
        folder = records / self.record.gate_id
        name = f"{tier.name}-{arm.value}"
        return with_sheets(verdict, name, images, references, folder, records)

    def _is_settled(self, tier: Tier) -> bool:
        if self.enough is not None:
            return self.enough(self._known(tier))
        blocks = paired_blocks(self._known(tier))
        policy = self.record.policy
        return len(blocks) >= FEWEST_BLOCKS and is_settled(compare(blocks, policy), policy)

    def _blame(self, tier: Tier, error: ArmFailed) -> Failure:
        """An error or a crash of the treatment is a regression if nothing had worked before.

        The control is built first, so that it has just done what the treatment cannot. What goes
        wrong once both have worked may be the machine's doing.
        """
        name = Arm.TREATMENT if error.treatment else Arm.CONTROL
        is_regression = error.treatment and not self._known(tier).usable
        return Failure(name, f"{name.value}: {error}", is_regression)

    def _fail(self, tier: Tier, failure: Failure) -> None:
        self._keep(replace(self._known(tier), failure=failure))

    def _meet(self, taker: BlockTaker) -> None:
        control, treatment = self.record.control, self.record.treatment
        for name, hello in taker.hellos.items():
            if name is Arm.CONTROL:
                control = with_hello(control, hello)
            else:
                treatment = with_hello(treatment, hello)
        self.record = replace(self.record, control=control, treatment=treatment)

    def _progress(self, number: int) -> Progress:
        blocks = self.record.policy.blocks

        def update(what: str, done: int, total: int) -> None:
            count = f" {done}" if done else ""
            self.line.update(f"start {number + 1} of up to {blocks}: {what}{count}", done, total)

        return update

    def _known(self, tier: Tier) -> TierGate:
        return next(each for each in self.record.tiers if each.tier == tier.name)

    def _keep(self, tier: TierGate) -> None:
        self.record = self.record.with_tier(tier)
        self.path = save_gate(self.record, self.plan.out)


def _on_both(control: Counts, treatment: Counts, *, same_versions: bool) -> Verdict:
    """The verdict on what both arms ask of torch, if it could be counted."""
    if control.counters is None:
        return not_counted(control.unsupported, Arm.CONTROL.value)
    if treatment.counters is None:
        return not_counted(treatment.unsupported, Arm.TREATMENT.value)
    return judge_arms(control.counters, treatment.counters, same_versions=same_versions)


def with_hello(facts: ArmFacts, hello: Hello) -> ArmFacts:
    """What is known of an arm, with what its worker says of itself."""
    return replace(facts, python=hello.python, prefix=hello.prefix, packages=dict(hello.packages))
