"""The gate of one session, on the real pocket pipeline with very little to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from perfsuite.checkpoints import Checkpoint, find_checkpoint
from perfsuite.device import CpuDevice
from perfsuite.errors import LadderError, OutputError
from perfsuite.images.scoring import make_images
from perfsuite.judge import Outcome
from perfsuite.ladder import (
    Builder,
    BuiltTier,
    Tier,
    build_tier,
    change,
    changes_layers,
    find_tiers,
    has_exactness,
    register_tier,
    table,
)
from perfsuite.ladder.build import build_tier as build
from perfsuite.selftest.quality import damage
from perfsuite.session import images as image_gate
from perfsuite.session.images import ImageGate
from perfsuite.stores.references import References, references_of

FP32, BF16, SDPA = find_tiers(["fp32", "bf16", "sdpa"])


@pytest.fixture(scope="module")
def checkpoint() -> Iterator[Checkpoint]:
    pocket = find_checkpoint("pocket")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    work = dataclasses.replace(
        pocket.quality, prompts=pocket.quality.prompts[:2], seeds=(0,), steps=2
    )
    yield dataclasses.replace(pocket, quality=work)
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def references(checkpoint: Checkpoint) -> References:
    with build_tier(FP32, checkpoint, CpuDevice()) as built:
        return references_of(make_images(built, built.quality), built.quality)


@pytest.fixture(scope="module")
def sdpa(checkpoint: Checkpoint) -> Iterator[BuiltTier]:
    with build_tier(SDPA, checkpoint, CpuDevice(), exact_only=True) as built:
        yield built


@pytest.fixture
def gate(references: References, tmp_path: Path) -> ImageGate:
    return ImageGate(references, None, tmp_path)


def test_another_attention_kernel_in_fp32_passes_the_exactness_stage(
    gate: ImageGate, sdpa: BuiltTier
) -> None:
    verdict = gate.judge_exactness(sdpa)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.findings[0].value > 90


def test_a_fault_fails_it_with_a_picture(gate: ImageGate, sdpa: BuiltTier) -> None:
    with damage.scale_attention(1.2)(sdpa.pipeline):
        verdict = gate.judge_exactness(sdpa)
    assert verdict.outcome is Outcome.REGRESSED
    (picture,) = verdict.pictures
    assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert Path(picture).name.startswith("exactness-sdpa-")


def test_a_full_disk_costs_the_picture_and_not_the_verdict(
    gate: ImageGate, sdpa: BuiltTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OutputError(f"cannot write {path} (No space left on device)", hint="free space")

    monkeypatch.setattr(image_gate, "write_whole", full)
    with damage.skip_step(-1)(sdpa.pipeline):
        verdict = gate.judge_exactness(sdpa)
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.pictures == ()
    assert "No space left" in verdict.notes[0]


def test_fp32_is_held_against_its_references_before_a_tier_is_judged(
    gate: ImageGate, sdpa: BuiltTier
) -> None:
    assert gate.reference_verdict is None
    gate.judge_exactness(sdpa)
    assert gate.reference_verdict is not None
    assert gate.reference_verdict.outcome is Outcome.PASSED


def test_references_that_fp32_does_not_make_blame_no_tier(
    references: References, sdpa: BuiltTier, tmp_path: Path
) -> None:
    strange = dataclasses.replace(references, images=references.images[::-1])
    gate = ImageGate(strange, None, tmp_path)
    for verdict in (gate.judge_exactness(sdpa), gate.judge_lossy(sdpa)):
        assert verdict.outcome is Outcome.INVALID
        assert "references are not valid on this machine or version" in verdict.reason
        assert "perfsuite record-references" in verdict.reason


def test_for_large_images_fp32_is_not_built_just_to_check_it(
    gate: ImageGate, sdpa: BuiltTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_gate, "CHEAP_PIXELS", 0)
    verdict = gate.judge_exactness(sdpa)
    assert gate.reference_verdict is None
    assert verdict.notes == ("fp32 was not held against its own references in this run",)


def test_without_a_calibration_the_row_decides_and_the_verdict_says_so(
    gate: ImageGate, sdpa: BuiltTier
) -> None:
    verdict = gate.judge_lossy(sdpa)
    assert verdict.thresholds.source == "the tier's row, not calibrated"
    assert verdict.thresholds.worst_ssim == SDPA.min_ssim


def test_nan_in_another_image_of_the_batch_is_seen(
    references: References, sdpa: BuiltTier, tmp_path: Path
) -> None:
    pair = dataclasses.replace(sdpa.quality, batch_size=2)
    built = dataclasses.replace(sdpa, workloads=dataclasses.replace(sdpa.workloads, quality=pair))
    with damage.nan_in_second_image(sdpa.pipeline):
        verdict = ImageGate(references, None, tmp_path).judge_lossy(built)
    assert verdict.outcome is Outcome.REGRESSED
    assert "another image of the batch is NaN" in verdict.reason


def test_the_first_of_the_ladder_and_pure_precision_have_no_exactness_stage() -> None:
    assert not has_exactness(FP32)
    assert not has_exactness(BF16)
    assert has_exactness(SDPA)


def test_only_a_tier_that_replaces_layers_has_them_checked() -> None:
    by_name = {tier.name: changes_layers(tier) for tier in table.tiers()}
    assert by_name == by_name | {"fp32": False, "bf16": False, "fused-qkv": False, "int8": True}


def test_a_tier_can_be_held_against_its_own_method(
    references: References,
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One step less is another method: far from fp32's images, equal to its own."""
    monkeypatch.setattr(table, "_TIERS", dict(table._TIERS))

    @change(exact=True)
    def one_step_less(builder: Builder) -> None:
        """Skip the last step."""
        builder.set_for_this_tier(damage.skip_step(-1)(builder.pipeline))

    few = Tier("few", "fp32", (one_step_less,), "skips a step", min_ssim=0.999, reference="few")
    plain = dataclasses.replace(few, name="plain", reference=None)
    register_tier(few)
    gate = ImageGate(references, None, tmp_path)
    with build(few, checkpoint, CpuDevice()) as built:
        assert gate.judge_lossy(built).outcome is Outcome.PASSED
    with build(plain, checkpoint, CpuDevice()) as built:
        assert gate.judge_lossy(built).outcome is Outcome.REGRESSED
    assert not has_exactness(few)


def test_a_reference_that_is_not_registered_is_refused() -> None:
    with pytest.raises(LadderError, match="names the reference 'lcm', which is not registered"):
        register_tier(Tier("few", "fp32", (), "", reference="lcm"))
