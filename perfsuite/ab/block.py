"""Taking one block: both arms are started, warmed up, and sampled turn and turn about.

Order of events: A B | B A | A B … within a block, and the next block begins with the other arm, so
that neither a drift nor a place in the order favours an arm. While one arm works, the other and
the gate itself sleep.

A turn is as short as the pipeline allows: on a CPU a denoising step, so that two images are made at
the same time, step by step, and what the machine does in a tenth of a second meets both. (The log
ratio of two images scatters by 1 to 3 % so, and by 5 to 12 % when one follows the other.) An
accelerator would have to be waited for after each step, which a pipeline that serves does not do,
so there a turn is a whole image.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from perfsuite.images.generate import GeneratedImage
from perfsuite.judge.validity import invalid_reason
from perfsuite.progress import Progress, silent
from perfsuite.results.ab import Arm, BlockRecord, StartFacts, TimedSample
from perfsuite.results.condition_reasons import CompiledWhileSampling
from perfsuite.results.machine import Conditions
from perfsuite.results.reasons import Reason
from perfsuite.workers.client import OutOfDeviceMemory, Worker
from perfsuite.workers.protocol import Build, Built, Counts, Finished, Hello, WarmedUp

_HEADROOM = 1.1
"""The second arm is put beside the first if so many times the first's memory is free."""


@dataclass(frozen=True)
class Work:
    """What both arms are asked to do.

    Attributes:
        request: what to build.
        cores: CPU cores that both stay on while sampling; empty for no preference.
        budget_s: seconds of sampling in one block.
        usable_cores: CPU cores of this machine; None if the work is an accelerator's.
        threads: CPU threads that an arm computes with.
        fewest_pairs: samples of each arm even if the budget is too small for them.
        most_pairs: samples of each arm after which more would tell nothing new.
        makes_images: whether the first block makes those of the quality workload.
        finds_compiled: whether compiled code of earlier gates is there, so that no start is cold.
    """

    request: Build
    cores: tuple[int, ...]
    budget_s: float
    usable_cores: int | None
    threads: int
    fewest_pairs: int = 6
    most_pairs: int = 400
    makes_images: bool = True
    finds_compiled: bool = False


@dataclass
class BlockTaker:
    """One block in the making; what it has got so far survives an error.

    Attributes:
        work: what both arms are asked to do.
        open_worker: starts an arm.
        number: of the block, from 0; the first begins with an empty compile cache.
        progress: told of every step, between samples and never inside one.
        clock: seconds.
        hellos: what the arms say of themselves.
        images: of the quality workload; made in the first block only.
        counts: what each arm asks of torch; counted in the first block only, before any sample.
        on_counted: called when both have been counted.
    """

    work: Work
    open_worker: Callable[[Arm], Worker]
    number: int
    progress: Progress = silent
    clock: Callable[[], float] = time.monotonic
    hellos: dict[Arm, Hello] = field(default_factory=dict)
    images: dict[Arm, tuple[GeneratedImage, ...]] = field(default_factory=dict)
    counts: dict[Arm, Counts] = field(default_factory=dict)
    on_counted: Callable[[], None] = lambda: None
    _arms: dict[Arm, Worker] = field(default_factory=dict)
    _samples: list[TimedSample] = field(default_factory=list)
    _built: dict[Arm, Built] = field(default_factory=dict)
    _warmed: dict[Arm, WarmedUp] = field(default_factory=dict)
    _finished: dict[Arm, Finished] = field(default_factory=dict)
    _interleaved: bool = True
    _sampling_s: float = 0.0
    _turns: int = 1

    def take(self) -> BlockRecord:
        """Run the block to its end; no arm outlives it."""
        try:
            self._take(*self._order(self.number))
            return self.record()
        finally:
            for arm in self._arms.values():
                arm.close()

    def record(self, spoilt: Reason | None = None) -> BlockRecord:
        """What is known of the block by now.

        Args:
            spoilt: what ended it before its time.
        """
        starts = {name: self._facts(name) for name in self._finished}
        return BlockRecord(
            cold=self.number == 0 and not self.work.finds_compiled,
            interleaved=self._interleaved,
            samples=tuple(self._samples),
            starts=starts,
            sampling_s=self._sampling_s,
            spoilt=spoilt or self._spoilt(starts),
            turns=self._turns,
        )

    @staticmethod
    def _order(number: int) -> tuple[Arm, Arm]:
        """Who is first: the control in even turns, the treatment in odd ones."""
        first = Arm.TREATMENT if number % 2 else Arm.CONTROL
        return first, first.other

    def _take(self, one: Arm, other: Arm) -> None:
        self._start(one, other)
        self._build(one)
        self._interleaved = self._has_room_beside(one) and self._is_built_beside(other)
        if self._interleaved:
            self._count(one, other)
            if self._fits_both(one, other):
                return
            self._start(one, other)
            self._build(one)
        self._count(one)
        self._sample_alone(one)
        self._make_images(one)
        self._close(one)
        self._build(other)
        self._count(other)
        self._sample_alone(other)
        self._make_images(other)

    def _start(self, *names: Arm) -> None:
        """Start arms together: importing is all they do, and nothing is timed yet."""
        self.progress(f"{' and '.join(name.value for name in names)} start", self.number, 0)
        for name in names:
            self._arms[name] = self.open_worker(name)
        for name in names:
            self.hellos[name] = self._arms[name].start()

    def _close(self, name: Arm) -> None:
        self._arms.pop(name).close()

    def _build(self, name: Arm) -> None:
        self.progress(f"{name.value} builds", self.number, 0)
        arm = self._arms[name]
        self._built[name] = arm.build(self.work.request)
        self._warmed[name] = arm.warm_up(self.work.cores)

    def _count(self, *names: Arm) -> None:
        """In the first block, before anything is sampled: what differs is said first."""
        if self.number > 0:
            return
        for name in names:
            if name not in self.counts:
                self.progress(f"{name.value} is counted", 0, 0)
                self.counts[name] = self._arms[name].count()
                if len(self.counts) == len(Arm):
                    self.on_counted()

    def _has_room_beside(self, name: Arm) -> bool:
        """Whether the accelerator has room for as much again; a CPU's memory is not asked."""
        used, free = self._built[name].device_used_bytes, self._built[name].device_free_bytes
        return used is None or free is None or free >= _HEADROOM * used

    def _is_built_beside(self, name: Arm) -> bool:
        """Build the second arm; if the device is too small for both, it waits for its turn."""
        try:
            self._build(name)
        except OutOfDeviceMemory:
            self._close(name)
            self._start(name)
            return False
        return True

    def _fits_both(self, one: Arm, other: Arm) -> bool:
        """Sample both in turn; if memory runs out they part, and what was sampled is forgotten.

        Which of them asked for the last byte says nothing of its code: each gets the device alone.
        """
        try:
            self._alternate()
            self._make_images(one, other)
        except OutOfDeviceMemory:
            for name in (one, other):
                self._close(name)
            for known in (self._samples, self._finished, self.images):
                known.clear()
            self._interleaved, self._sampling_s = False, 0.0
            return False
        return True

    def _alternate(self) -> None:
        for arm in self._arms.values():
            arm.begin()
        start = self.clock()
        pair = 0
        while self._goes_on(pair, self.clock() - start, self.work.budget_s):
            self.progress("pairs", pair, 0)
            self._make_one_image_each(*self._order(self.number + pair))
            self._sampling_s = self.clock() - start
            pair += 1
        for name, arm in self._arms.items():
            self._finished[name] = arm.finish()

    def _sample_alone(self, name: Arm) -> None:
        arm = self._arms[name]
        arm.begin()
        start, before_s = self.clock(), self._sampling_s
        taken = 0
        while self._goes_on(taken, self.clock() - start, self.work.budget_s / 2):
            self.progress(f"{name.value} samples", taken, 0)
            self._make_one_image_each(name)
            self._sampling_s = before_s + self.clock() - start
            taken += 1
        self._finished[name] = arm.finish()

    def _make_one_image_each(self, *names: Arm) -> None:
        """One sample of each arm; they go on by turns, and who was last in one is first next."""
        seconds: dict[Arm, list[float]] = {name: [] for name in names}
        at_work, self._turns = names, 0
        while at_work:
            self._turns += 1
            for name in at_work:
                turn = self._arms[name].turn()
                seconds[name].append(turn.seconds)
                if turn.done:
                    turns_s = tuple(seconds.pop(name))
                    steps_s = turns_s if len(turns_s) > 1 else ()
                    self._samples.append(TimedSample(name, sum(turns_s), steps_s))
            at_work = tuple(name for name in reversed(at_work) if name in seconds)

    def _goes_on(self, taken: int, spent_s: float, budget_s: float) -> bool:
        if taken < self.work.fewest_pairs:
            return True
        return taken < self.work.most_pairs and spent_s < budget_s

    def _make_images(self, *names: Arm) -> None:
        """Once all have finished: one arm's images would be the other's noise."""
        if self.number > 0 or not self.work.makes_images:
            return
        for name in names:
            self.progress(f"{name.value} makes images", 0, 0)
            self.images[name] = self._arms[name].images(self.work.request.quality)

    def _facts(self, name: Arm) -> StartFacts:
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

    def _spoilt(self, starts: dict[Arm, StartFacts]) -> Reason | None:
        for name, facts in starts.items():
            if name is Arm.CONTROL and facts.late_recompiles:
                return CompiledWhileSampling(facts.late_recompiles, "control")
            spoilt = invalid_reason(
                facts.conditions, cores=self.work.usable_cores, threads=self.work.threads
            )
            if spoilt is not None:
                return spoilt
        return None


def _without(other: Finished, own: Finished) -> Conditions:
    """An arm's conditions, in which the other arm's turns are nobody else's work."""
    conditions = own.conditions
    busy, neighbours = conditions.busy_elsewhere, conditions.others_on_device
    return replace(
        conditions,
        busy_elsewhere=None if busy is None else max(0.0, busy - other.cpu_s / own.wall_s),
        others_on_device=None if neighbours is None else max(0, neighbours - 1),
    )
