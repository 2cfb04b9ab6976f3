"""Operators, FLOPs and memory of the ladder's tiers, counted on a GPU that is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from perfsuite.checkpoints import find_checkpoint
from perfsuite.device import find_device
from perfsuite.deviceless import count_tier, memory_plan
from perfsuite.deviceless.operators import count_tier_on
from perfsuite.ladder import find_tiers
from perfsuite.results.deviceless import TierStructure, load_structure

ROOT = Path(__file__).parents[2]
SDXL = ("fp32", "bf16", "sdpa", "compile", "fused-qkv", "int8")


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, TierStructure]]:
    """Exit code and tiers of `perfsuite structure`, in a process of its own."""
    out = tmp_path_factory.mktemp("structure")
    done = subprocess.run(
        [sys.executable, "-m", "perfsuite", "structure", "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    written = next(out.rglob("*.json"), None)
    assert written is not None, done.stderr
    return done.returncode, {each.tier: each for each in load_structure(written).tiers}


def test_full_size_sdxl_is_as_expected_with_these_versions(
    full_size: tuple[int, dict[str, TierStructure]],
) -> None:
    """The expectation is of the versions of baselines/constraints.txt; others are for review."""
    code, tiers = full_size
    assert tuple(tiers) == SDXL
    assert code == 0


@pytest.mark.parametrize(
    ("tier", "operators", "sdpa", "gigabytes", "megabytes"),
    [
        ("fp32", 7031, 0, 10.27, 3033),
        ("bf16", 7034, 0, 5.13, 1517),
        ("sdpa", 5354, 140, 5.13, 332),
        ("compile", 5354, 140, 5.13, 332),
        ("fused-qkv", 4654, 140, 6.43, 332),
        ("int8", 18441, 140, 4.29, 374),
    ],
)
def test_a_step_of_the_full_size_unet(
    full_size: tuple[int, dict[str, TierStructure]],
    tier: str,
    operators: int,
    sdpa: int,
    gigabytes: float,
    megabytes: int,
) -> None:
    """Counted first in a study with another counter, whose int8 tier quantised every layer."""
    counted = full_size[1][tier]
    step, memory = counted.operators.of("unet"), counted.memory.part("unet")
    assert memory is not None
    assert (step.operators, step.sdpa) == (operators, sdpa)
    assert step.total_flops / 1e12 == pytest.approx(13.522, abs=0.001)
    assert memory.weight_bytes / 1e9 == pytest.approx(gigabytes, abs=0.005)
    assert memory.peak_activation_bytes / 1e6 == pytest.approx(megabytes, abs=1)


@pytest.mark.parametrize(
    ("tier", "published"),
    [
        ("fp32", 16.83),
        ("bf16", 8.96),
        ("sdpa", 8.96),
        ("compile", 8.82),
        ("fused-qkv", 9.78),
        ("int8", 7.87),
    ],
)
def test_the_memory_plan_is_near_what_others_have_measured(
    full_size: tuple[int, dict[str, TierStructure]], tier: str, published: float
) -> None:
    """GB on an A100 (Hugging Face, sample-datasets of the tutorial)."""
    plan = full_size[1][tier].memory
    assert plan.peak_bytes / 1e9 == pytest.approx(published, rel=0.05)
    assert plan.largest == "vae"
    assert plan.fits(24 << 30)
    assert plan.fits(16 << 30) == (tier != "fp32")


def test_counting_twice_gives_the_same() -> None:
    (int8,) = find_tiers(["int8"])
    pocket = find_checkpoint("pocket")
    assert count_tier(int8, pocket) == count_tier(int8, pocket)


def test_fake_tensors_give_the_operators_of_real_ones() -> None:
    """Of the UNet and the decoder, on a CPU, where fp32 attention is plain products."""
    (fp32,) = find_tiers(["fp32"])
    pocket = find_checkpoint("pocket")
    fake = count_tier(fp32, pocket).operators
    real = count_tier_on(find_device("cpu"), fp32, pocket).operators
    for part in ("unet", "vae"):
        assert fake.of(part) == real.of(part)


def test_a_memory_plan_can_be_asked_for_alone() -> None:
    (bf16,) = find_tiers(["bf16"])
    plan = memory_plan(bf16, find_checkpoint("pocket"))
    assert plan.fits(16 << 30)
    assert not plan.fits(1 << 30)
    assert {each.part for each in plan.parts} == {"text_encoder", "text_encoder_2", "unet", "vae"}
    assert plan.peak_bytes > plan.weight_bytes > 0
