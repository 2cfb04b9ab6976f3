from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest

from perfsuite.errors import MeasurementError
from perfsuite.measure.probe import Probe
from perfsuite.measure.sampling import Sampler, SamplingPlan, default_budget_s, plain_rounds
from perfsuite.measure.warmup import Warmth, WarmupRule, warm_up
from perfsuite.results.samples import GraphWork, LatencySamples
from tests.unit.fake_device import FakeDevice


class NotedProbe(Probe):
    """A probe that does nothing but be noted."""

    def __init__(self, events: list[str]) -> None:
        self.name = "v0 test"
        self._events = events
        self._once = lambda: events.append("probe")


def warmth(*images_s: float) -> Warmth:
    return Warmth(images_s, (GraphWork(),) * len(images_s))


@dataclass
class Bench:
    """A sampler whose images and probes take scripted seconds, and what happened to it."""

    images_s: list[float]
    probe_s: float = 0.5
    plan: SamplingPlan = field(default_factory=SamplingPlan)
    events: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        script = [each for image_s in self.images_s for each in (self.probe_s, image_s)]
        self.probe = NotedProbe(self.events)
        # The last image's pace goes on for ever.
        self.device = FakeDevice(durations_s=script + script[-2:] * 500)
        self.sampler = Sampler(
            lambda: self.events.append("image"),
            self.probe,
            self.device,
            self.plan,
            lambda what, done, total: self.events.append(f"{what} {done} of {total}"),
        )

    @property
    def work(self) -> list[str]:
        """What ran, without what was said."""
        return [event for event in self.events if event in ("probe", "image")]


def test_a_steady_tier_is_warm_after_seven_images() -> None:
    bench = Bench([1.0])
    assert bench.sampler.warm_up().images_s == (1.0,) * 7


def test_warm_up_goes_on_until_three_images_are_like_the_three_before() -> None:
    bench = Bench([9.0, 2.0, 2.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    # The last six images are (2, 1.5, 1, 1, 1, 1) only at the eighth: medians 1.5 and 1 differ.
    assert bench.sampler.warm_up().images_s == (9.0, 2.0, 2.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_warm_up_of_a_tier_that_never_settles_is_bounded() -> None:
    bench = Bench([0.8**number for number in range(20)])
    assert len(bench.sampler.warm_up().images_s) == 12


def test_warm_up_ends_when_it_has_taken_half_of_the_budget() -> None:
    bench = Bench([60.0, 4.0], plan=SamplingPlan(budget_s=20))
    assert bench.sampler.warm_up().images_s == (60.0, 4.0, 4.0, 4.0)


def test_warm_up_has_three_images_however_small_the_budget() -> None:
    bench = Bench([1.0], plan=SamplingPlan(budget_s=0.001))
    assert len(bench.sampler.warm_up().images_s) == 3


def test_a_probe_runs_before_every_image_of_warm_up_and_it_is_said_aloud() -> None:
    bench = Bench([1.0], plan=SamplingPlan(budget_s=0.001))
    bench.sampler.warm_up()
    assert bench.events == [
        "first image 0 of 12",
        "probe",
        "image",
        "warm-up 1 of 12",
        "probe",
        "image",
        "warm-up 2 of 12",
        "probe",
        "image",
    ]


def test_a_probe_runs_before_every_sample_and_nothing_is_said_in_between() -> None:
    bench = Bench([1.0], plan=SamplingPlan(budget_s=3.0, min_rounds=2))
    bench.sampler.plan_rounds(warmth(1.0))
    bench.events.clear()
    plain_rounds(bench.sampler, 2)
    assert bench.events == [
        "sampling 0 of 2",
        "probe",
        "image",
        "sampling 1 of 2",
        "probe",
        "image",
    ]


def test_samples_stand_beside_the_probe_that_ran_before_them() -> None:
    bench = Bench([1.0])
    bench.device.durations_s = [0.1, 1.0, 0.2, 2.0, 0.3, 3.0]
    plain_rounds(bench.sampler, 3)
    latency = bench.sampler.latency()
    assert latency.samples_s == (1.0, 2.0, 3.0)
    assert latency.probe_s == (0.1, 0.2, 0.3)
    assert latency.probe == "v0 test"


def test_warm_up_is_no_part_of_the_samples() -> None:
    bench = Bench([9.0, 1.0])
    bench.sampler.warm_up()
    plain_rounds(bench.sampler, 4)
    assert bench.sampler.latency().samples_s == (1.0,) * 4


@pytest.mark.parametrize(
    ("budget_s", "rounds"),
    [(30.0, 20), (31.4, 20), (0.001, 6), (9.0, 6), (10.5, 7), (86400.0, 400)],
)
def test_rounds_are_as_many_as_fit_into_the_budget_within_bounds(
    budget_s: float, rounds: int
) -> None:
    bench = Bench([1.0], probe_s=0.5, plan=SamplingPlan(budget_s=budget_s))
    assert bench.sampler.plan_rounds(warmth(50.0, 9.0, 1.0, 1.0, 1.0)) == rounds


def test_one_slow_image_at_the_end_of_warm_up_does_not_spoil_the_plan() -> None:
    bench = Bench([1.0], plan=SamplingPlan(budget_s=30))
    assert bench.sampler.plan_rounds(warmth(1.0, 1.0, 50.0)) == 20


def test_the_pace_is_that_of_the_fastest_image_that_brought_no_graphs() -> None:
    compiled, recorded, replayed = GraphWork(2, 1, 1), GraphWork(0, 1, 2), GraphWork(0, 0, 2)
    warm = Warmth((300.0, 12.0, 2.5, 2.6), (compiled, recorded, replayed, replayed))
    assert warm.pace_s == 2.5
    assert [each.what for each in warm.graphs] == ["compiled", "recorded", "replayed", "replayed"]
    assert Warmth((300.0,), (compiled,)).pace_s == 300.0
    assert GraphWork().what == "ran"


def test_an_accelerators_budget_leaves_something_to_decide_after_the_pilot() -> None:
    plan = SamplingPlan(budget_s=default_budget_s(FakeDevice(is_accelerator=True)))
    bench = Bench([300.0, 12.0, 2.5], probe_s=0.35, plan=plan)
    most = bench.sampler.plan_rounds(bench.sampler.warm_up())
    assert most == 21
    assert plan.pilot(most) == 10
    assert default_budget_s(FakeDevice()) == 25.0


@pytest.mark.parametrize(("most", "pilot"), [(6, 6), (7, 6), (20, 10), (32, 16), (400, 16)])
def test_the_pilot_is_at_most_half_of_what_fits(most: int, pilot: int) -> None:
    assert SamplingPlan().pilot(most) == pilot


def test_warm_up_goes_on_while_images_bring_new_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    held = iter([0, 1, 2, 3, 3, 3, 3])  # before the first image, and after each
    monkeypatch.setattr("perfsuite.measure.graphs.recorded_graphs", lambda: next(held))
    warm = warm_up(WarmupRule(longest_s=0.001), lambda number: 1.0)
    assert [each.what for each in warm.graphs] == ["recorded", "recorded", "recorded", "replayed"]


def test_warm_up_that_brings_graphs_for_ever_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    held = itertools.count()
    monkeypatch.setattr("perfsuite.measure.graphs.recorded_graphs", lambda: next(held))
    assert len(warm_up(WarmupRule(longest_s=0.001), lambda number: 1.0).images_s) == 12


@pytest.mark.parametrize("image_s", [0.2, 0.5, 2.5, 25.0])
@pytest.mark.parametrize("once_s", [0.004, 0.02, 0.15])
def test_an_accelerators_probe_takes_a_third_of_a_second_and_little_of_the_session(
    image_s: float, once_s: float
) -> None:
    probe = NotedProbe([])
    probe._may_repeat = True
    probe.repeat_for(image_s, once_s)
    probe_s = probe.repeats * once_s
    assert probe_s / (image_s + probe_s) < 0.15 or probe.repeats == 1
    if image_s >= 2.5:
        assert 0.3 <= probe_s <= 0.5
    probe.run()
    assert len(probe._events) == probe.repeats


def test_seconds_of_a_repeated_probe_are_those_of_one_run() -> None:
    bench = Bench([2.5], probe_s=0.4)
    bench.probe.repeats = 20
    plain_rounds(bench.sampler, 2)
    assert bench.sampler.latency().probe_s == (0.02, 0.02)


def test_no_samples_are_an_error_that_names_the_likely_cause() -> None:
    with pytest.raises(MeasurementError, match=r"no samples.*--benchmark-disable"):
        Bench([1.0]).sampler.latency()


def test_a_clock_that_stands_still_is_an_error() -> None:
    bench = Bench([0.0])
    plain_rounds(bench.sampler, 2)
    with pytest.raises(MeasurementError, match=r"0\.0 s is not a latency"):
        bench.sampler.latency()


def test_an_image_that_fails_leaves_samples_that_are_refused() -> None:
    bench = Bench([1.0])
    plain_rounds(bench.sampler, 2)
    bench.sampler.prepare()
    with pytest.raises(MeasurementError, match="2 samples with 3 probe samples"):
        bench.sampler.latency()


# --- how many


def taken_with(goals: list[int], most: int = 100, pilot: int = 16) -> list[int]:
    """Sizes of the batches that are taken when the goal is said to be these, one after another."""
    bench, batches = Bench([1.0]), []

    def take_rounds(sampler: Sampler, rounds: int) -> None:
        batches.append(rounds)
        plain_rounds(sampler, rounds)

    script = iter(goals)
    bench.sampler.take(most, pilot, take_rounds, lambda latency: next(script))
    return batches


def test_a_pilot_is_taken_and_then_as_many_as_are_wanted_in_all() -> None:
    assert taken_with([40, 40]) == [16, 24]


def test_a_pilot_that_is_enough_is_all() -> None:
    assert taken_with([10]) == [16]


def test_an_open_answer_takes_more_until_the_most() -> None:
    assert taken_with([32, 64, 128]) == [16, 16, 32, 36]


def test_a_budget_smaller_than_the_pilot_is_kept() -> None:
    assert taken_with([16], most=7) == [7]


def test_without_a_goal_the_budget_is_spent() -> None:
    bench = Bench([1.0])
    bench.sampler.take(20, 16, plain_rounds, None)
    assert len(bench.sampler.latency().samples_s) == 20


def test_the_goal_is_asked_with_the_samples_so_far() -> None:
    bench, seen = Bench([1.0]), []

    def goal(latency: LatencySamples) -> int:
        seen.append(len(latency.samples_s))
        return 20

    bench.sampler.take(100, 8, plain_rounds, goal)
    assert seen == [8, 20]
