"""The order of events of a gate, played by fakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perfsuite.ab.block import BlockTaker
from perfsuite.ab.session import Session
from perfsuite.errors import ArmFailed, EnvironmentBroken, WorkerFailed
from perfsuite.report.messages import say
from perfsuite.results.ab import (
    Answer,
    Arm,
    BlockRecord,
    GateRecord,
    TierGate,
    load_gate,
    record_path,
)
from perfsuite.results.condition_reasons import BusyElsewhere, CompiledWhileSampling
from perfsuite.results.reasons import BlockUnfinished
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.workers.client import OutOfDeviceMemory
from perfsuite.workers.protocol import Built
from tests.unit.ab_samples import Opener, SilentLine, busy, finished, gate_record, plan
from tests.unit.fake_worker import FakeWorker


def run(out: Path, opener: Opener, *tiers: str) -> GateRecord:
    return Session(plan(out, *tiers), opener, SilentLine(), opener.clock).run()


def take(out: Path, opener: Opener, number: int = 0) -> BlockRecord:
    work = plan(out).work
    return BlockTaker(work, lambda name: opener(name, "bf16"), number, clock=opener.clock).take()


def sampled(block: BlockRecord) -> str:
    return "".join("C" if each.arm is Arm.CONTROL else "T" for each in block.samples)


def of_treatment(method: str, error: BaseException, tier: str = "bf16") -> Opener:
    return Opener(errors={Arm.TREATMENT: {(tier, method): error}})


def latency_of(tier: TierGate) -> Outcome | None:
    found = (each.outcome for each in tier.verdicts if each.metric is Metric.LATENCY)
    return next(found, None)


def failed(*, treatment: bool) -> ArmFailed:
    return ArmFailed("RuntimeError: bad graph", hint="read its log", treatment=treatment)


# --- one block


def test_a_block_starts_both_arms_before_it_samples_either(tmp_path: Path) -> None:
    opener = Opener()
    take(tmp_path, opener)
    samples = [place for place, event in enumerate(opener.events) if event.endswith("turn")]
    assert opener.events[: samples[0]] == [
        "control start",
        "treatment start",
        "control build",
        "control warm_up",
        "treatment build",
        "treatment warm_up",
        "control count",
        "treatment count",
        "control begin",
        "treatment begin",
    ]
    assert opener.events[samples[-1] + 1 :] == [
        "control finish",
        "treatment finish",
        "control images",
        "treatment images",
        "control close",
        "treatment close",
    ]


def test_arms_take_turns_and_the_order_flips_with_every_pair(tmp_path: Path) -> None:
    assert sampled(take(tmp_path, Opener())) == "CTTCCTTCCT"
    assert sampled(take(tmp_path, Opener(), number=1)) == "TCCTTCCTTC"


def turns_of(opener: Opener) -> str:
    """Whose turns they were, in order."""
    marks = {"control turn": "C", "treatment turn": "T"}
    return "".join(marks.get(event, "") for event in opener.events)


def test_the_order_flips_with_every_turn_of_an_image(tmp_path: Path) -> None:
    opener = Opener(turns=(3, 3))
    block = take(tmp_path, opener)
    assert turns_of(opener).startswith("CTTCCTTCCTTC")
    assert block.turns == 3
    assert block.seconds(Arm.CONTROL)[0] == pytest.approx(1.0)
    assert block.samples[0].turns_s == pytest.approx((1 / 3,) * 3)


def test_an_arm_with_more_turns_ends_its_image_alone(tmp_path: Path) -> None:
    opener = Opener(turns=(1, 3))
    block = take(tmp_path, opener)
    assert turns_of(opener).startswith("CTTTTCTT")
    assert block.seconds(Arm.TREATMENT)[0] == pytest.approx(1.0)


def test_the_budget_ends_a_block_and_the_fewest_pairs_are_taken_anyway(tmp_path: Path) -> None:
    assert len(take(tmp_path, Opener(0.5, 0.5)).samples) == 20
    assert len(take(tmp_path, Opener(100.0, 100.0)).samples) == 4


def test_only_the_first_block_is_cold_and_makes_images(tmp_path: Path) -> None:
    first, second = Opener(), Opener()
    assert take(tmp_path, first).cold
    assert not take(tmp_path, second, number=1).cold
    assert "control images" in first.events
    assert "control images" not in second.events


def crowded(opener: Opener, *, free_bytes: int) -> Opener:
    """An accelerator with that much free memory beside a first arm of 10 bytes."""
    built = Built(1.0, 2.0, (), device_used_bytes=10, device_free_bytes=free_bytes)
    open_plain = opener.__call__

    class Crowded(Opener):
        def __call__(self, name: Arm, tier: str) -> FakeWorker:
            arm = open_plain(name, tier)
            arm.built = built
            return arm

    other = Crowded()
    other.events = opener.events
    return other


def test_arms_that_do_not_fit_together_follow_each_other(tmp_path: Path) -> None:
    opener = Opener()
    block = take(tmp_path, crowded(opener, free_bytes=10))
    assert not block.interleaved
    assert sampled(block) == "CCCCCTTTTT"
    assert opener.events.index("control close") < opener.events.index("treatment build")


def test_arms_that_fit_take_turns_on_an_accelerator_too(tmp_path: Path) -> None:
    assert take(tmp_path, crowded(Opener(), free_bytes=12)).interleaved


def test_a_second_arm_that_runs_out_of_memory_beside_the_first_gets_its_own_turn(
    tmp_path: Path,
) -> None:
    error = OutOfDeviceMemory("OutOfMemoryError: CUDA", hint="", treatment=True)

    class Once(Opener):
        def __call__(self, name: Arm, tier: str) -> FakeWorker:
            arm = super().__call__(name, tier)
            if name is Arm.TREATMENT and "treatment start" not in self.events:
                arm.errors = {"build": error}
            return arm

    block = take(tmp_path, Once())
    assert not block.interleaved
    assert sampled(block) == "CCCCCTTTTT"


@pytest.mark.parametrize("name", list(Arm))
@pytest.mark.parametrize("when", ["turn", "finish", "images"])
def test_memory_that_runs_out_beside_the_other_arm_is_no_arms_fault(
    tmp_path: Path, name: Arm, when: str
) -> None:
    error = OutOfDeviceMemory(
        "CUBLAS_STATUS_ALLOC_FAILED", hint="", treatment=name is Arm.TREATMENT
    )
    opened: list[Arm] = []

    class Once(Opener):
        def __call__(self, arm: Arm, tier: str) -> FakeWorker:
            worker = super().__call__(arm, tier)
            if arm is name and arm not in opened:
                worker.errors = {when: error}
            opened.append(arm)
            return worker

    block = take(tmp_path, Once())
    assert not block.interleaved
    assert sampled(block) == "CCCCCTTTTT"
    assert block.spoilt is None


def test_the_other_arm_is_not_somebody_else(tmp_path: Path) -> None:
    block = take(tmp_path, Opener(both_finished=busy(0.5)))
    assert block.spoilt is None
    assert block.starts[Arm.CONTROL].conditions.busy_elsewhere == 0


def test_a_block_on_a_busy_machine_is_spoilt(tmp_path: Path) -> None:
    spoilt = take(tmp_path, Opener(both_finished=busy(1.9))).spoilt
    assert isinstance(spoilt, BusyElsewhere)
    assert spoilt.busy == pytest.approx(1.4)
    assert spoilt.cores == 2
    assert "other processes kept 1.4 of 2 cores busy" in say(spoilt)


def test_a_control_that_compiles_while_it_is_sampled_spoils_the_block(tmp_path: Path) -> None:
    opener = Opener()
    opener.finished[Arm.CONTROL] = finished(recompiles=2, late=2)
    spoilt = take(tmp_path, opener).spoilt
    assert spoilt == CompiledWhileSampling(2, "control")
    assert "2 graphs were compiled by the control while sampling" in say(spoilt)
    opener = Opener()
    opener.finished[Arm.TREATMENT] = finished(recompiles=2, late=2)
    assert take(tmp_path, opener).spoilt is None


# --- a whole gate


def test_equal_arms_pass_after_two_blocks(tmp_path: Path) -> None:
    record = run(tmp_path, Opener())
    assert record.answer is Answer.PASSED
    (tier,) = record.tiers
    assert len(tier.blocks) == 2
    assert record.complete


def test_a_question_that_is_not_settled_takes_all_blocks(tmp_path: Path) -> None:
    record = run(tmp_path, Opener(swing=0.2))
    assert len(record.tiers[0].blocks) == record.policy.blocks


def test_a_slower_treatment_is_a_regression(tmp_path: Path) -> None:
    record = run(tmp_path, Opener(1.0, 1.3), "bf16", "compile")
    assert record.answer is Answer.REGRESSED
    assert [tier.outcome for tier in record.tiers] == [Outcome.REGRESSED] * 2


def test_recompiling_while_sampling_is_the_treatments_regression(tmp_path: Path) -> None:
    opener = Opener()
    opener.finished[Arm.TREATMENT] = finished(recompiles=3, late=3)
    record = run(tmp_path, opener)
    worse = [each for each in record.tiers[0].verdicts if each.outcome is Outcome.REGRESSED]
    assert [each.metric for each in worse] == [Metric.RECOMPILES]


def test_blocks_that_are_spoilt_are_kept_and_never_judged(tmp_path: Path) -> None:
    record = run(tmp_path, Opener(1.0, 1.5, both_finished=busy(1.9)))
    (tier,) = record.tiers
    assert tier.outcome is Outcome.INVALID
    (verdict,) = [each for each in tier.verdicts if each.metric is Metric.LATENCY]
    assert verdict.reasons == (tier.blocks[-1].spoilt,)
    assert record.answer is Answer.INCONCLUSIVE
    assert len(tier.blocks) == record.policy.blocks
    assert not tier.usable


def test_a_tier_that_fails_on_the_treatment_alone_is_a_regression_and_the_next_is_tried(
    tmp_path: Path,
) -> None:
    opener = of_treatment("build", failed(treatment=True))
    record = run(tmp_path, opener, "bf16", "sdpa")
    broken, next_one = record.tiers
    assert record.answer is Answer.REGRESSED
    assert broken.failure is not None
    assert broken.failure.is_regression
    assert "treatment: RuntimeError: bad graph" in broken.failure.message
    assert latency_of(next_one) is Outcome.PASSED


def test_a_tier_that_fails_on_the_control_could_not_run(tmp_path: Path) -> None:
    error = failed(treatment=False)
    record = run(tmp_path, Opener(errors={Arm.CONTROL: {("bf16", "build"): error}}))
    assert record.answer is Answer.COULD_NOT_RUN
    assert record.tiers[0].outcome is None


def test_a_treatment_that_has_worked_once_and_fails_later_proves_nothing(tmp_path: Path) -> None:
    class Later(Opener):
        def __call__(self, name: Arm, tier: str) -> FakeWorker:
            arm = super().__call__(name, tier)
            if name is Arm.TREATMENT and "control images" in self.events:
                arm.errors = {"build": failed(treatment=True)}
            return arm

    record = run(tmp_path, Later())
    assert record.answer is Answer.COULD_NOT_RUN


def test_a_worker_that_dies_is_no_regression_and_its_samples_are_kept(tmp_path: Path) -> None:
    opener = of_treatment("finish", WorkerFailed("the worker died", hint="read its log"))
    record = run(tmp_path, opener, "bf16", "sdpa")
    assert record.answer is Answer.COULD_NOT_RUN
    (kept,) = record.tiers[0].blocks
    assert kept.spoilt == BlockUnfinished()
    assert len(kept.samples) == 10
    assert latency_of(record.tiers[1]) is Outcome.PASSED


def test_every_arm_is_closed_whatever_happens(tmp_path: Path) -> None:
    for method in ("start", "build", "warm_up", "begin", "turn", "finish", "images"):
        opener = of_treatment(method, WorkerFailed("the worker died", hint=""))
        run(tmp_path, opener)
        for name in Arm:
            opened = sum(fake.name is name for fake in opener.fakes)
            assert opener.events.count(f"{name.value} close") == opened


def test_an_environment_that_cannot_work_stops_the_gate(tmp_path: Path) -> None:
    opener = of_treatment("start", EnvironmentBroken("no diffusers", hint="install it"))
    with pytest.raises(EnvironmentBroken):
        run(tmp_path, opener, "bf16", "sdpa")
    assert "control close" in opener.events


def test_ctrl_c_ends_the_workers_and_keeps_what_was_measured(tmp_path: Path) -> None:
    opener = of_treatment("turn", KeyboardInterrupt(), tier="sdpa")
    record = run(tmp_path, opener, "bf16", "sdpa", "compile")
    assert record.interrupted
    assert not record.complete
    assert record.answer is Answer.INTERRUPTED
    assert opener.events[-2:] == ["control close", "treatment close"]
    kept = load_gate(record_path(record.gate_id, tmp_path))
    assert kept == record
    assert [latency_of(tier) for tier in kept.tiers] == [Outcome.PASSED, None]
    assert [each.arm for each in kept.tiers[1].blocks[0].samples] == [Arm.CONTROL]


def test_a_regression_that_was_found_before_ctrl_c_stands(tmp_path: Path) -> None:
    class Impatient(Opener):
        def __call__(self, name: Arm, tier: str) -> FakeWorker:
            if tier == "sdpa":
                raise KeyboardInterrupt
            return super().__call__(name, tier)

    record = run(tmp_path, Impatient(1.0, 1.5), "bf16", "sdpa")
    assert record.answer is Answer.REGRESSED


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (Outcome.PASSED, Answer.PASSED),
        (Outcome.IMPROVED, Answer.PASSED),
        (Outcome.INCONCLUSIVE, Answer.INCONCLUSIVE),
        (Outcome.INVALID, Answer.INCONCLUSIVE),
        (Outcome.REGRESSED, Answer.REGRESSED),
    ],
)
def test_the_gravest_tier_is_the_answer(outcome: Outcome, answer: Answer) -> None:
    good = TierGate("bf16", verdicts=(Verdict(Metric.LATENCY, Outcome.PASSED),))
    other = TierGate("sdpa", verdicts=(Verdict(Metric.LATENCY, outcome),))
    assert gate_record(other, good).answer is answer


def test_the_record_says_what_each_arm_was(tmp_path: Path) -> None:
    record = run(tmp_path, Opener())
    assert record.control.packages == {"torch": "2.13.0"}
    assert record.is_self_comparison
    other = replace(record.treatment, prefix="/other", packages={"torch": "2.14.1"})
    assert not replace(record, treatment=other).is_self_comparison
