"""Taking samples: warm-up until latency has settled, then tier and probe turn and turn about."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

from perfsuite.device import Device
from perfsuite.errors import MeasurementError
from perfsuite.images.generate import run
from perfsuite.ladder import BuiltTier
from perfsuite.measure.compiling import compiler_findings
from perfsuite.measure.conditions import FakeWatch, Watch, watch_for
from perfsuite.measure.graphs import GraphCounter
from perfsuite.measure.host import host_share
from perfsuite.measure.probe import Probe
from perfsuite.measure.roofline import machine_limits
from perfsuite.measure.stages import time_stages
from perfsuite.measure.warmup import Warmth, WarmupRule, warm_up
from perfsuite.process import cpu_seconds
from perfsuite.progress import Progress, silent
from perfsuite.results.samples import Goal, LatencySamples, Measurement


@dataclass(frozen=True)
class SamplingPlan:
    """How many samples to take.

    The pilot is never more than half of what fits into the budget, so that something is left to
    decide on after it.

    Attributes:
        budget_s: seconds for sampling, probes included; warm-up and compilation come on top.
        min_rounds: samples taken even if the budget is too small for them.
        pilot_rounds: samples after which it is first asked how many are wanted.
        max_rounds: samples after which more would tell nothing new.
    """

    budget_s: float = 25.0
    min_rounds: int = 6
    pilot_rounds: int = 16
    max_rounds: int = 400

    @property
    def warmup(self) -> WarmupRule:
        """It may take half of the budget."""
        return WarmupRule(self.budget_s / 2)

    def pilot(self, most: int) -> int:
        """Samples after which it is first asked how many are wanted.

        Args:
            most: samples that there may be.
        """
        return min(most, self.pilot_rounds, max(self.min_rounds, most // 2))


def default_budget_s(device: Device) -> float:
    """Seconds of sampling per tier if nobody says otherwise: images of full size take longer."""
    return 60.0 if device.is_accelerator else 25.0


Rounds = Callable[["Sampler", int], None]
"""Runs `prepare` and `sample` of a sampler that many times."""


class Sampler:
    """Samples of one piece of work, each right after one of the probe.

    pytest-benchmark calls `prepare` as its setup and `sample` as its target, so that its table and
    JSON are of the very rounds that are judged here.

    Args:
        work: makes one image.
        probe: the probe of the tier's dtype.
        device: takes the time.
        plan: how many samples to take.
        progress: told of every step, between samples and never inside one.
        watch: looks at the machine between samples.
    """

    def __init__(
        self,
        work: Callable[[], object],
        probe: Probe,
        device: Device,
        plan: SamplingPlan,
        progress: Progress = silent,
        watch: Watch | None = None,
    ) -> None:
        self._watch = watch or FakeWatch()
        self._work = work
        self._probe = probe
        self._device = device
        self._plan = plan
        self._progress = progress
        self._samples_s: list[float] = []
        self._probe_s: list[float] = []
        self._rounds = 0
        self.first_image_cpu_s: float | None = None

    def warm_up(self) -> Warmth:
        """Make images until latency has settled or warm-up has taken enough."""
        rule = self._plan.warmup

        def make_image(number: int) -> float:
            self._progress("warm-up" if number else "first image", number, rule.most)
            self._time_probe()
            if number:
                return self._device.timed(self._work)[0]
            before_s = cpu_seconds()
            seconds = self._device.timed(self._work)[0]
            self.first_image_cpu_s = cpu_seconds() - before_s
            return seconds

        return warm_up(rule, make_image)

    def plan_rounds(self, warmth: Warmth) -> int:
        """The most rounds: what fits into the budget at the pace of the fastest warm image.

        Here it is decided too how often the probe runs before each sample.
        """
        probe_s = self._time_probe()
        self._probe.repeat_for(warmth.pace_s, probe_s)
        round_s = warmth.pace_s + probe_s * self._probe.repeats
        fitting = int(self._plan.budget_s / round_s)
        self._rounds = max(self._plan.min_rounds, min(self._plan.max_rounds, fitting))
        return self._rounds

    def settle(self) -> None:
        """Give back what compiling and tuning have left in an accelerator's cache.

        Peak memory is then that of an image. One more is made, which takes what it needs again.
        """
        if self._device.is_accelerator:
            self._device.release_memory()
            self._device.timed(self._work)

    def prepare(self) -> None:
        """Time the probe; garbage is collected here, so that it is not collected in a sample."""
        self._progress("sampling", len(self._samples_s), self._rounds)
        self._watch.between_samples()
        gc.collect(0)
        self._probe_s.append(self._time_probe())

    def sample(self) -> float:
        """Time one image; its seconds."""
        sample_s, _ = self._device.timed(self._work)
        self._samples_s.append(sample_s)
        return sample_s

    def _time_probe(self) -> float:
        """Seconds of one run of the probe; the mean of its repeats."""
        return self._device.timed(self._probe.run)[0] / self._probe.repeats

    def take(self, most: int, pilot: int, take_rounds: Rounds, goal: Goal | None) -> None:
        """Take samples until there are as many as are wanted, or the most that there may be."""
        take_enough(lambda rounds: take_rounds(self, rounds), self.latency, most, pilot, goal)

    def latency(self) -> LatencySamples:
        """All samples so far.

        Raises:
            MeasurementError: they are not samples of a latency.
        """
        try:
            return LatencySamples(tuple(self._samples_s), tuple(self._probe_s), self._probe.name)
        except ValueError as error:
            raise MeasurementError(
                f"nothing to judge: {error}", hint="leave out --benchmark-disable"
            ) from None


def take_enough(
    take: Callable[[int], None],
    samples: Callable[[], LatencySamples],
    most: int,
    pilot: int,
    goal: Goal | None,
) -> None:
    """Take samples until there are as many as are wanted, or the most that there may be.

    Args:
        take: takes so many more.
        samples: all so far.
        most: that there may be.
        pilot: samples after which `goal` is first asked.
        goal: how many are wanted in all; None for the most.
    """
    taken, wanted = 0, most if goal is None else min(pilot, most)
    while taken < wanted:
        take(wanted - taken)
        taken = wanted
        if goal is not None and taken < most:
            wanted = min(most, goal(samples()))


def plain_rounds(sampler: Sampler, rounds: int) -> None:
    """Rounds without pytest-benchmark."""
    for _ in range(rounds):
        sampler.prepare()
        sampler.sample()


def measure_tier(
    built: BuiltTier,
    plan: SamplingPlan,
    *,
    take_rounds: Rounds = plain_rounds,
    goal: Goal | None = None,
    progress: Progress = silent,
) -> Measurement:
    """Measure a built tier on its latency workload.

    Args:
        built: the tier.
        plan: how many samples to take.
        take_rounds: runs the rounds; the pytest plugin hands them to pytest-benchmark.
        goal: says when there are samples enough; None spends the budget.
        progress: told of every step.
    """
    workload = built.latency
    shot = next(workload.shots())
    probe, held_bytes = _probe_beside(built)
    watch = watch_for(built.device)
    sampler = Sampler(
        lambda: run(built.pipeline, workload, shot), probe, built.device, plan, progress, watch
    )
    with compiler_findings() as findings:
        warmth = sampler.warm_up()
    most = sampler.plan_rounds(warmth)
    sampler.settle()
    counter = GraphCounter()
    built.device.reset_peak_memory()
    watch.start()
    start = time.perf_counter()
    sampler.take(most, plan.pilot(most), take_rounds, goal)
    sampling_s = time.perf_counter() - start
    graphs = counter.since_last()
    return Measurement(
        tier=built.tier.name,
        workload=workload.digest,
        latency=sampler.latency(),
        warmup_s=warmth.images_s,
        build_s=built.build_s,
        memory=built.device.peak_memory(held_bytes),
        recompiles=graphs.compiled,
        sampling_s=sampling_s,
        conditions=watch.finish(),
        warmup_graphs=warmth.graphs,
        probe_repeats=probe.repeats,
        recordings=graphs.recorded,
        findings=tuple(findings),
        host_share=host_share(
            built.device, lambda hook: run(built.pipeline, workload, shot, on_step=hook)
        ),
        stages=time_stages(built),
        limits=machine_limits(built.device, built.dtype),
        first_image_cpu_s=sampler.first_image_cpu_s,
    )


def _probe_beside(built: BuiltTier) -> tuple[Probe, int | None]:
    """The probe of a tier's dtype, and the bytes that are not the tier's: libraries and probe."""
    device = built.device
    device.release_memory()
    before = device.held_memory()
    probe = Probe(built.dtype, device)
    after = device.held_memory()
    if built.held_bytes is None or before is None or after is None:
        return probe, None
    return probe, built.held_bytes + max(0, after - before)
