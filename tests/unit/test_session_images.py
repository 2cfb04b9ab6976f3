"""The gate of one session, on the real pocket pipeline with very little to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from perfsuite.checkpoints import Checkpoint, find_checkpoint
from perfsuite.device import CpuDevice
from perfsuite.errors import LadderError, OutputError
from perfsuite.images import scoring
from perfsuite.images.generate import GeneratedImage
from perfsuite.images.references import References, references_of
from perfsuite.images.scoring import make_images
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
from perfsuite.report.messages import say_all
from perfsuite.results.images import ImageEvidence
from perfsuite.results.picture_reasons import (
    ImageFaults,
    NoPicture,
    NotCalibrated,
    ReferencesUnchecked,
    ReferenceTierChanged,
    ThresholdsMissed,
)
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.selftest.quality import damage
from perfsuite.session import images as image_gate
from perfsuite.session.images import ImageGate
from tests.unit.samples import environment

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
    return gate_of(references, tmp_path)


def gate_of(references: References, record_folder: Path) -> ImageGate:
    """The gate of a session whose record lies in a folder."""
    return ImageGate(references, None, record_folder / "a-run", environment(), record_folder)


def evidence(verdict: Verdict) -> ImageEvidence:
    assert verdict.images is not None
    return verdict.images


def test_another_attention_kernel_in_fp32_passes_the_exactness_stage(
    gate: ImageGate, sdpa: BuiltTier
) -> None:
    verdict = gate.judge_exactness(sdpa)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.metric is Metric.EXACTNESS
    assert evidence(verdict).checks[0].value > 90
    assert verdict.measured == evidence(verdict).worst.psnr_db
    assert evidence(verdict).pictures == ()


def test_a_fault_fails_it_with_a_picture_beside_the_record(
    gate: ImageGate, sdpa: BuiltTier, tmp_path: Path
) -> None:
    with damage.scale_attention(1.2)(sdpa.pipeline):
        verdict = gate.judge_exactness(sdpa)
    assert verdict.outcome is Outcome.REGRESSED
    (reason,) = verdict.reasons
    assert isinstance(reason, ThresholdsMissed)
    assert [each.metric for each in reason.missed] == ["worst_psnr_db"]
    picture = evidence(verdict).pictures[0]  # what a fresh process made of it may follow
    assert Path(picture).parent == Path("a-run")
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
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
    assert evidence(verdict).pictures == ()
    note = next(each for each in verdict.notes if isinstance(each, NoPicture))
    assert "No space left" in note.problem


def test_fp32_is_held_against_its_references_before_a_tier_is_judged(
    gate: ImageGate, sdpa: BuiltTier
) -> None:
    assert gate.reference_verdict is None
    gate.judge_exactness(sdpa)
    assert gate.reference_verdict is not None
    assert gate.reference_verdict.outcome is Outcome.PASSED


def strange(references: References) -> References:
    """References that fp32 does not make: made with another torch, in another order."""
    made = dataclasses.replace(environment(), packages={"torch": "2.12.0"})
    return dataclasses.replace(references, images=references.images[::-1], environment=made)


def test_where_fp32_itself_has_changed_every_tier_that_fails_says_so_first(
    references: References, sdpa: BuiltTier, tmp_path: Path
) -> None:
    unlike = strange(references)
    pixels = dict(zip(unlike.pixels, reversed(unlike.pixels.values()), strict=True))
    gate = gate_of(dataclasses.replace(unlike, pixels=pixels), tmp_path)
    stated = dataclasses.replace(sdpa, tier=dataclasses.replace(SDPA, min_ssim=0.99))
    for verdict in (gate.judge_exactness(sdpa), gate.judge_lossy(stated)):
        assert verdict.outcome is Outcome.REGRESSED
        shared, own = verdict.reasons
        assert isinstance(shared, ReferenceTierChanged)
        assert shared.versions == ("torch 2.12.0 (now 2.13.0+cpu)",)
        assert isinstance(own, ThresholdsMissed)
        assert "all tiers share it" in say_all(verdict.reasons)
        assert "perfsuite record-references" in say_all(verdict.reasons)


def test_where_fp32_itself_has_changed_a_tier_that_passes_is_not_blamed(
    references: References, sdpa: BuiltTier, tmp_path: Path
) -> None:
    gate = gate_of(strange(references), tmp_path)
    verdict = gate.judge_exactness(sdpa)  # whose float32 pixels are in order
    assert gate.reference_verdict is not None
    assert gate.reference_verdict.outcome is Outcome.REGRESSED
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASSED, ())


def test_fp32_that_no_longer_makes_its_references_has_regressed_with_a_picture(
    references: References, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    gate = gate_of(strange(references), tmp_path)
    with build_tier(FP32, checkpoint, CpuDevice()) as built:
        verdict = gate.judge_lossy(built)
    assert verdict.outcome is Outcome.REGRESSED
    (reason,) = verdict.reasons
    assert isinstance(reason, ReferenceTierChanged)
    (picture,) = evidence(verdict).pictures
    assert (tmp_path / picture).is_file()
    assert Path(picture).name.startswith("fp32-")
    assert gate.reference_verdict == verdict
    sheets = evidence(verdict).sheets
    assert sheets is not None
    assert sheets.columns == 2
    assert all(peak is not None and peak > 0.1 for peak in sheets.peaks)
    for sheet in (sheets.references, sheets.images, sheets.differences):
        with Image.open(tmp_path / sheet) as drawn:
            assert drawn.size == (128, 64)  # two images of 64 pixels


def test_for_large_images_fp32_is_not_built_just_to_check_it(
    gate: ImageGate, sdpa: BuiltTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_gate, "CHEAP_PIXELS", 0)
    verdict = gate.judge_exactness(sdpa)
    assert gate.reference_verdict is None
    assert verdict.notes == (ReferencesUnchecked(),)


def test_without_a_calibration_a_lossy_tier_is_looked_at_and_scored_for_the_reader(
    gate: ImageGate, sdpa: BuiltTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "perceptual_distance", lambda: lambda image, reference: 0.0625)
    verdict = gate.judge_lossy(sdpa)
    assert verdict.outcome is Outcome.NOT_CALIBRATED
    (told,) = verdict.reasons
    assert isinstance(told, NotCalibrated)
    assert told.worst_ssim == verdict.measured
    assert told.worst_lpips == 0.0625
    assert {each.lpips for each in evidence(verdict).scores} == {0.0625}


def test_what_is_wrong_at_sight_needs_no_calibration(
    gate: ImageGate, sdpa: BuiltTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def black(built: BuiltTier, *rest: object, **options: object) -> Iterator[GeneratedImage]:
        for image in make_images(built, *rest, **options):  # type: ignore[arg-type]
            yield dataclasses.replace(image, pixels=image.pixels * 0)

    monkeypatch.setattr(image_gate, "make_images", black)
    verdict = gate.judge_lossy(sdpa)
    assert verdict.outcome is Outcome.REGRESSED
    assert isinstance(verdict.reasons[0], ImageFaults)


def test_a_rows_own_number_is_asked_for_without_a_calibration(
    gate: ImageGate, sdpa: BuiltTier
) -> None:
    stated = dataclasses.replace(sdpa, tier=dataclasses.replace(SDPA, min_ssim=0.99))
    verdict = gate.judge_lossy(stated)
    assert evidence(verdict).thresholds.source == "the tier's row, not calibrated"
    assert evidence(verdict).thresholds.worst_ssim == 0.99
    assert verdict.outcome is Outcome.PASSED


def test_nan_in_another_image_of_the_batch_is_seen(
    references: References, sdpa: BuiltTier, tmp_path: Path
) -> None:
    pair = dataclasses.replace(sdpa.quality, batch_size=2)
    built = dataclasses.replace(sdpa, workloads=dataclasses.replace(sdpa.workloads, quality=pair))
    with damage.nan_in_second_image(sdpa.pipeline):
        verdict = gate_of(references, tmp_path).judge_lossy(built)
    assert verdict.outcome is Outcome.REGRESSED
    (reason,) = verdict.reasons
    assert isinstance(reason, ImageFaults)
    assert "another image of the batch is NaN" in reason.faults[0]


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
    gate = gate_of(references, tmp_path)
    with build(few, checkpoint, CpuDevice()) as built:
        assert gate.judge_lossy(built).outcome is Outcome.PASSED
    with build(plain, checkpoint, CpuDevice()) as built:
        assert gate.judge_lossy(built).outcome is Outcome.REGRESSED
    assert not has_exactness(few)


def test_a_reference_that_is_not_registered_is_refused() -> None:
    with pytest.raises(LadderError, match="names the reference 'lcm', which is not registered"):
        register_tier(Tier("few", "fp32", (), "", reference="lcm"))
