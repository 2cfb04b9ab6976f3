"""Taking one block: both sides are started, warmed up, and sampled turn and turn about.

Order of events: A B | B A | A B … within a block, and the next block begins with the other side, so
that neither a drift nor a place in the order favours a side. While one side works, the other and
the gate itself sleep.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace

from perfsuite.gate.protocol import Build, Built, Finished, Hello, WarmedUp
from perfsuite.gate.record import BlockRecord, StartFacts, TimedSample
from perfsuite.gate.side import Name, OutOfDeviceMemory, Side
from perfsuite.generation import GeneratedImage
from perfsuite.judge import disqualification
from perfsuite.measure.conditions import Conditions
from perfsuite.progress import Progress, silent

_HEADROOM = 1.1
"""The second side is put beside the first if so many times the first's memory is free."""


@dataclass(frozen=True)
class Work:
    """What both sides are asked to do.

    Attributes:
        request: what to build.
        cores: CPU cores that both stay on while sampling; empty for no preference.
        budget_s: seconds of sampling in one block.
        usable_cores: CPU cores of this machine; None if the work is an accelerator's.
        threads: CPU threads that a side computes with.
        fewest_pairs: samples of each side even if the budget is too small for them.
        most_pairs: samples of each side after which more would tell nothing new.
    """

    request: Build
    cores: tuple[int, ...]
    budget_s: float
    usable_cores: int | None
    threads: int
    fewest_pairs: int = 6
    most_pairs: int = 400


@dataclass
class BlockTaker:
    """One block in the making; what it has got so far survives an error.

    Attributes:
        work: what both sides are asked to do.
        open_side: starts a side.
        number: of the block, from 0; the first begins with an empty compile cache.
        progress: told of every step, between samples and never inside one.
        clock: seconds.
        hellos: what the sides say of themselves.
        images: of the quality workload; made in the first block only.
    """

    work: Work
    open_side: Callable[[Name], Side]
    number: int
    progress: Progress = silent
    clock: Callable[[], float] = time.monotonic
    hellos: dict[Name, Hello] = field(default_factory=dict)
    images: dict[Name, tuple[GeneratedImage, ...]] = field(default_factory=dict)
    _samples: list[TimedSample] = field(default_factory=list)
    _built: dict[Name, Built] = field(default_factory=dict)
    _warmed: dict[Name, WarmedUp] = field(default_factory=dict)
    _finished: dict[Name, Finished] = field(default_factory=dict)
    _interleaved: bool = True
    _sampling_s: float = 0.0

    def take(self) -> BlockRecord:
        """Run the block to its end."""
        one, other = self._order(self.number)
        with ExitStack() as stack:
            first = self._prepare(one, stack)
            second = self._prepare_beside(one, other, stack)
            if second is not None:
                self._alternate({one: first, other: second})
                self._make_images({one: first, other: second})
                return self.record()
            self._interleaved = False
            self._sample_alone(one, first)
            self._make_images({one: first})
        with ExitStack() as stack:
            second = self._prepare(other, stack)
            self._sample_alone(other, second)
            self._make_images({other: second})
        return self.record()

    def record(self, spoilt: str | None = None) -> BlockRecord:
        """What is known of the block by now.

        Args:
            spoilt: what ended it before its time.
        """
        starts = {name: self._facts(name) for name in self._finished}
        return BlockRecord(
            cold=self.number == 0,
            interleaved=self._interleaved,
            samples=tuple(self._samples),
            starts=starts,
            sampling_s=self._sampling_s,
            spoilt=spoilt or self._disqualification(starts),
        )

    def _order(self, number: int) -> tuple[Name, Name]:
        """Who is first: the control in even turns, the treatment in odd ones."""
        first = Name.TREATMENT if number % 2 else Name.CONTROL
        return first, first.other

    def _prepare(self, name: Name, stack: ExitStack) -> Side:
        self.progress(f"{name.value} starts", self.number, 0)
        side = stack.enter_context(closing(self.open_side(name)))
        self.hellos[name] = side.start()
        self.progress(f"{name.value} builds", self.number, 0)
        self._built[name] = side.build(self.work.request)
        self._warmed[name] = side.warm_up(self.work.cores)
        return side

    def _prepare_beside(self, one: Name, other: Name, stack: ExitStack) -> Side | None:
        """The other side, if the accelerator has room for both."""
        used, free = self._built[one].device_used_bytes, self._built[one].device_free_bytes
        if used is not None and free is not None and free < _HEADROOM * used:
            return None
        with ExitStack() as attempt:
            try:
                side = self._prepare(other, attempt)
            except OutOfDeviceMemory:
                return None
            stack.enter_context(attempt.pop_all())
        return side

    def _alternate(self, sides: dict[Name, Side]) -> None:
        for side in sides.values():
            side.begin()
        start = self.clock()
        pair = 0
        while self._goes_on(pair, self.clock() - start, self.work.budget_s):
            self.progress("pairs", pair, 0)
            for name in self._order(self.number + pair):
                self._samples.append(TimedSample(name, sides[name].sample()))
                self._sampling_s = self.clock() - start
            pair += 1
        for name, side in sides.items():
            self._finished[name] = side.finish()

    def _sample_alone(self, name: Name, side: Side) -> None:
        side.begin()
        start, before_s = self.clock(), self._sampling_s
        taken = 0
        while self._goes_on(taken, self.clock() - start, self.work.budget_s / 2):
            self.progress(f"{name.value} samples", taken, 0)
            self._samples.append(TimedSample(name, side.sample()))
            self._sampling_s = before_s + self.clock() - start
            taken += 1
        self._finished[name] = side.finish()

    def _goes_on(self, taken: int, spent_s: float, budget_s: float) -> bool:
        if taken < self.work.fewest_pairs:
            return True
        return taken < self.work.most_pairs and spent_s < budget_s

    def _make_images(self, sides: dict[Name, Side]) -> None:
        """Once both have finished: one side's images would be the other's noise."""
        if self.number > 0:
            return
        for name, side in sides.items():
            self.progress(f"{name.value} makes images", 0, 0)
            self.images[name] = side.images(self.work.request.quality)

    def _facts(self, name: Name) -> StartFacts:
        built, finished = self._built[name], self._finished[name]
        other = self._finished.get(name.other) if self._interleaved else None
        return StartFacts(
            build_s=built.build_s,
            first_image_s=built.first_image_s,
            warmup_s=self._warmed[name].warmup_s,
            memory=finished.memory,
            graph_breaks=finished.graph_breaks,
            recompiles=finished.recompiles,
            late_recompiles=finished.late_recompiles,
            findings=built.findings,
            conditions=finished.conditions if other is None else _without(other, finished),
        )

    def _disqualification(self, starts: dict[Name, StartFacts]) -> str | None:
        for name, facts in starts.items():
            if name is Name.CONTROL and facts.late_recompiles:
                return f"the control compiled {facts.late_recompiles} graphs while it was sampled"
            spoilt = disqualification(
                facts.conditions, cores=self.work.usable_cores, threads=self.work.threads
            )
            if spoilt:
                return spoilt
        return None


def _without(other: Finished, own: Finished) -> Conditions:
    """A side's conditions, in which the other side's turns are nobody else's work."""
    conditions = own.conditions
    busy, neighbours = conditions.busy_elsewhere, conditions.others_on_device
    return replace(
        conditions,
        busy_elsewhere=None if busy is None else max(0.0, busy - other.cpu_s / own.wall_s),
        others_on_device=None if neighbours is None else max(0, neighbours - 1),
    )
