"""The ladder's table, and its tiers on the real pocket pipeline."""

from __future__ import annotations

import gc
import platform
import weakref

import pytest
import torch
from torch import nn
from torch._inductor import config as inductor_config

from perfsuite.checkpoints import Checkpoint
from perfsuite.device import CpuDevice
from perfsuite.errors import LadderError
from perfsuite.images.generate import generate
from perfsuite.images.metrics import ssim
from perfsuite.ladder import (
    Builder,
    BuiltTier,
    Change,
    Phase,
    Tier,
    build_tier,
    change,
    changes,
    expand,
    find_tiers,
    lineage,
    register_tier,
    table,
)
from tests.unit.toy_family import StableDiffusionXLPipeline

pytestmark = pytest.mark.usefixtures("one_thread")

ORDER = ["fp32", "bf16", "sdpa", "compile", "fused-qkv", "int8"]


def tier(name: str) -> Tier:
    (found,) = find_tiers([name])
    return found


def build(name: str, checkpoint: Checkpoint, *, exact_only: bool = False) -> BuiltTier:
    return build_tier(tier(name), checkpoint, CpuDevice(), exact_only=exact_only)


def names(ordered: tuple[Change, ...]) -> list[str]:
    return [each.name for each in ordered]


def test_the_ladder_is_the_tutorials() -> None:
    rungs = find_tiers(expand(None))
    published = {each.name: each.published.seconds for each in rungs if each.published}
    assert published == dict(zip(ORDER, (7.36, 4.63, 3.31, 2.54, 2.52, 2.43), strict=True))


def test_each_row_stands_on_the_one_before() -> None:
    assert [each.name for each in lineage(tier("int8"))] == ORDER


def test_order_is_load_then_modules_then_compile_and_within_them_the_ladders() -> None:
    assert names(table.ordered_changes(tier("int8"))) == [
        "bfloat16",
        "full_float32",
        "plain_attention",
        "fused_attention",
        "fuse_qkv",
        "pointwise_convs_to_linear",
        "dynamic_int8",
        "channels_last",
        "inductor_flags",
        "compile_denoiser_and_decoder",
        "inductor_int8_flags",
    ]


def test_exact_only_leaves_out_what_changes_precision() -> None:
    exact = names(table.ordered_changes(tier("int8"), exact_only=True))
    assert "bfloat16" not in exact
    assert "dynamic_int8" not in exact
    assert "pointwise_convs_to_linear" in exact


def test_tiers_are_found_in_the_ladders_order_whatever_was_asked() -> None:
    assert [each.name for each in find_tiers(["int8", "fp32", "int8"])] == ["fp32", "int8"]


def test_an_unknown_tier_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(LadderError, match=r"'warp'.*fp32,bf16,sdpa"):
        find_tiers(["warp"])


def test_a_tier_cannot_be_registered_twice_nor_on_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_TIERS", dict(table._TIERS))
    with pytest.raises(LadderError, match="registered already"):
        register_tier(Tier("fp32", None, (), why=""))
    with pytest.raises(LadderError, match="stands on 'moon'"):
        register_tier(Tier("new", "moon", (), why=""))


def test_a_change_that_wants_the_pipeline_too_early_is_told_so() -> None:
    @change(phase=Phase.LOAD, exact=True)
    def eager(builder: Builder) -> None:
        assert builder.pipeline

    with pytest.raises(LadderError, match=r"phase=Phase\.MODULES"):
        eager.apply(Builder("cpu", is_accelerator=False))


def test_fp32_pins_matmul_precision_and_gives_it_back(quick: Checkpoint) -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with build("fp32", quick) as built:
            assert torch.get_float32_matmul_precision() == "highest"
            assert built.dtype is torch.float32
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_fp32_and_bf16_do_not_use_sdpa_and_sdpa_does(
    quick: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real = nn.functional.scaled_dot_product_attention

    def counted(*arguments: object, **options: object) -> torch.Tensor:
        calls.append("sdpa")
        return real(*arguments, **options)  # type: ignore[arg-type]

    shot = next(quick.latency.shots())
    for name, used in (("fp32", False), ("bf16", False), ("sdpa", True)):
        with build(name, quick) as built:
            embeds = built.pipeline.encode_prompt(shot.prompt)
            monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", counted)
            calls.clear()
            _denoise_once(built, embeds)
            monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", real)
        assert bool(calls) is used, name


def _denoise_once(built: BuiltTier, embeds: tuple[torch.Tensor, ...]) -> None:
    positive, _, pooled, _ = embeds
    with torch.no_grad():
        built.pipeline.unet(
            torch.zeros(1, 4, 16, 16, dtype=built.dtype),
            1,
            encoder_hidden_states=positive,
            added_cond_kwargs={
                "text_embeds": pooled,
                "time_ids": torch.zeros(1, 6, dtype=built.dtype),
            },
        )


def test_eager_tiers_make_nearly_the_same_picture(quick: Checkpoint) -> None:
    shot = next(quick.quality.shots())
    images = []
    for name in ("fp32", "bf16", "sdpa"):
        with build(name, quick) as built:
            images.append(generate(built.pipeline, quick.quality, shot).pixels)
    assert 0.99 < ssim(images[1], images[0]) < 1
    assert 0.99 < ssim(images[2], images[0]) < 1


def test_the_same_tier_twice_makes_the_same_picture_to_the_bit(quick: Checkpoint) -> None:
    shot = next(quick.quality.shots())
    images = []
    for _ in range(2):
        with build("sdpa", quick) as built:
            images.append(generate(built.pipeline, quick.quality, shot))
    assert (images[0].pixels == images[1].pixels).all()
    assert (images[0].latents == images[1].latents).all()
    assert images[0].pixels.shape == (64, 64, 3)
    assert images[0].latents.shape == (4, 16, 16)


def test_int8_quantises_what_the_published_filter_lets_through(
    quick: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "lacks_bfloat16", lambda *_: False)
    monkeypatch.setattr(torch, "compile", lambda module, **options: module)
    with build("int8", quick) as built:
        linears = {
            name: module
            for name, module in built.pipeline.unet.named_modules()
            if isinstance(module, nn.Linear)
        }
        quantised = {
            name for name, module in linears.items() if "Int8" in type(module.weight.data).__name__
        }
        convs = [
            module
            for module in built.pipeline.unet.modules()
            if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)
        ]
        assert quantised == {name for name, one in linears.items() if changes.gains_from_int8(one)}
        assert len(quantised) > 20
        assert all(128 not in (conv.in_channels, conv.out_channels) for conv in convs)
        assert [finding.subject for finding in built.findings] == ["use_mixed_mm"]


def test_the_int8_filter_is_the_published_one() -> None:
    assert len(changes.INT8_EXCLUDED_SHAPES) == 19
    assert not changes.gains_from_int8(nn.Linear(640, 640))
    assert not changes.gains_from_int8(nn.Linear(16, 64))
    assert changes.gains_from_int8(nn.Linear(1280, 1280))
    assert not changes.gains_from_int8(nn.Conv2d(32, 32, 1))


def test_inductor_flags_hold_for_the_tier_and_are_given_back(
    quick: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda module, **options: module)
    before = (inductor_config.conv_1x1_as_mm, inductor_config.epilogue_fusion)
    with build("compile", quick):
        assert inductor_config.conv_1x1_as_mm is True
        assert inductor_config.epilogue_fusion is False
    assert (inductor_config.conv_1x1_as_mm, inductor_config.epilogue_fusion) == before


def test_a_flag_that_torch_has_dropped_is_a_finding_and_no_crash(
    quick: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "lacks_bfloat16", lambda *_: False)
    monkeypatch.setattr(torch, "compile", lambda module, **options: module)
    monkeypatch.setitem(changes.COMPILE_FLAGS, "warp_drive", True)
    with build("compile", quick) as built:
        (finding,) = built.findings
    assert finding.subject == "warp_drive"
    assert "has no inductor flag warp_drive" in finding.message


@pytest.mark.parametrize(("accelerator", "mode"), [(True, "max-autotune"), (False, "default")])
def test_compile_mode_is_chosen_by_device(
    monkeypatch: pytest.MonkeyPatch, accelerator: bool, mode: str
) -> None:
    asked: list[dict[str, object]] = []

    def noted(module: nn.Module, **options: object) -> nn.Module:
        asked.append(options)
        return module

    pipeline = StableDiffusionXLPipeline(unet=nn.Identity(), vae=nn.Identity())
    pipeline.vae.decode = nn.Identity()
    monkeypatch.setattr(torch, "compile", noted)
    builder = Builder("cpu", is_accelerator=accelerator)
    builder._pipeline = pipeline
    changes.compile_denoiser_and_decoder.apply(builder)
    assert asked == [{"mode": mode, "fullgraph": True}] * 2


def test_a_closed_tier_leaves_nothing_behind(quick: Checkpoint) -> None:
    built = build("bf16", quick)
    unet = weakref.ref(built.pipeline.unet)
    built.close()
    gc.collect()
    assert unet() is None


def test_settings_are_given_back_when_building_fails(
    quick: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    @change(exact=True)
    def burst(builder: Builder) -> None:
        raise MemoryError

    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(MemoryError):
            build_tier(Tier("huge", "fp32", (burst,), why=""), quick, CpuDevice())
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.slow
def test_compiled_tiers_make_nearly_the_same_picture(quick: Checkpoint) -> None:
    shot = next(quick.quality.shots())
    with build("fp32", quick) as built:
        reference = generate(built.pipeline, quick.quality, shot).pixels
    for name in ("compile", "fused-qkv", "int8"):
        with build(name, quick) as built:
            assert ssim(generate(built.pipeline, quick.quality, shot).pixels, reference) > 0.98


@pytest.mark.cuda
def test_every_tier_runs_on_an_accelerator(quick: Checkpoint) -> None:
    from perfsuite.device import find_device

    shot = next(quick.quality.shots())
    reference = None
    for each in find_tiers(expand(None)):
        with build_tier(each, quick, find_device("cuda")) as built:
            pixels = generate(built.pipeline, quick.quality, shot).pixels
        reference = pixels if reference is None else reference
        assert ssim(pixels, reference) > 0.97, each.name


@pytest.mark.parametrize(
    ("machine", "capability", "lacks"),
    [
        ("x86_64", "AVX2", True),
        ("x86_64", "DEFAULT", True),
        ("x86_64", "AVX512", False),
        ("aarch64", "DEFAULT", False),
        ("arm64", "SVE256", False),
    ],
)
def test_a_cpu_without_bfloat16_is_known(machine: str, capability: str, lacks: bool) -> None:
    assert changes.lacks_bfloat16(machine, capability) is lacks


def test_a_tier_in_bfloat16_says_that_the_cpu_is_made_for_it_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for capability, said in (("AVX2", 1), ("AVX512", 0)):
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")
        monkeypatch.setattr(
            torch.backends.cpu, "get_cpu_capability", lambda found=capability: found
        )
        for accelerator in (False, True):
            builder = Builder("cuda" if accelerator else "cpu", accelerator)
            changes.bfloat16.apply(builder)
            assert builder.dtype == torch.bfloat16
            assert len(builder.findings) == (0 if accelerator else said)
