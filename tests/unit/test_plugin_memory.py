"""What is left in memory of one tier when the next is built: nothing."""

from __future__ import annotations

import dataclasses
import weakref

import pytest
import torch

from perfsuite import ladder
from perfsuite.checkpoints import Checkpoint
from perfsuite.ladder import Builder, BuiltTier, Tier, change, table
from perfsuite.ladder.changes import fused_attention
from perfsuite.results.session import load_record
from perfsuite.session import run as session_run

TESTS = """
    def test_latency(perf_latency_verdict, perf_enforce):
        perf_enforce(perf_latency_verdict)

    def test_exactness(perf_exactness_verdict, perf_enforce):
        perf_enforce(perf_exactness_verdict)
    """


@dataclasses.dataclass
class Denoisers:
    """Weak references to every denoiser that was loaded, and how many were alive at each build."""

    known: list[weakref.ref[torch.nn.Module]] = dataclasses.field(default_factory=list)
    alive: dict[str, int] = dataclasses.field(default_factory=dict)

    def note(self, module: torch.nn.Module) -> None:
        self.known.append(weakref.ref(module))

    @property
    def still_there(self) -> int:
        return sum(1 for each in self.known if each() is not None)


@pytest.fixture
def denoisers(monkeypatch: pytest.MonkeyPatch, quick: Checkpoint) -> Denoisers:
    """Tiers that run out of memory while they are built, and while they are sampled."""
    seen = Denoisers()

    @change(exact=False)
    def burst(builder: Builder) -> None:
        """Do not fit."""
        seen.note(builder.pipeline.unet)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB")

    rows = {"fp32": table._TIERS["fp32"]}
    for name, changes in (
        ("huge", (burst,)),
        ("greedy", ()),
        ("sdpa-fp32", (fused_attention,)),
    ):
        rows[name] = Tier(name, "fp32", changes, why="a test")
    monkeypatch.setattr(table, "_TIERS", rows)
    build = ladder.build_tier

    def noted_build(
        tier: Tier, *rest: object, exact_only: bool = False, **options: object
    ) -> BuiltTier:
        name = f"{tier.name} exact" if exact_only else tier.name
        seen.alive[name] = seen.still_there
        built = build(tier, *rest, exact_only=exact_only, **options)  # type: ignore[arg-type]
        seen.note(built.pipeline.unet)
        if tier.name == "greedy":
            built.pipeline.unet.register_forward_hook(_out_of_memory)
        return built

    monkeypatch.setattr(session_run, "build_tier", noted_build)
    return seen


def _out_of_memory(*call: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_a_tier_finds_the_memory_empty_whatever_became_of_the_one_before(
    pytester: pytest.Pytester, denoisers: Denoisers
) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess(
        *("-m", "perf", "--perf-checkpoint", "quick", "--perf-budget", "0.2", "--perf-missing"),
        *("skip", "--perf-tiers", "fp32,huge,greedy,sdpa-fp32"),
    )
    record = load_record(pytester.path / ".perfsuite" / "runs" / "latest.json")
    assert record.result("huge").error == (
        "OutOfMemoryError: CUDA out of memory. Tried to allocate 80.00 GiB"
    )
    assert record.result("greedy").error is not None
    assert record.result("sdpa-fp32").measurement is not None
    # The last tier was there until the tests that build theirs themselves: exactness is one.
    assert denoisers.alive == dict.fromkeys(
        ("fp32", "huge", "greedy", "sdpa-fp32", "sdpa-fp32 exact"), 0
    )
    assert result.ret != 0
