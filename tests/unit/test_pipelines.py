"""Pipeline families: SDXL's, a user's own, and that no other module names a family's parts."""

from __future__ import annotations

import ast
import dataclasses
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import perfsuite
from perfsuite import Checkpoint, PipelineFamily, Workload, register_family
from perfsuite.checkpoints import registry
from perfsuite.device import CpuDevice
from perfsuite.errors import LadderError, MeasurementError
from perfsuite.images.generate import generate, run
from perfsuite.images.layers import capture_activations
from perfsuite.ladder import BuiltTier, build_tier, find_tiers
from perfsuite.measure import SamplingPlan, measure_tier, sampling
from perfsuite.measure.conditions import FakeWatch
from perfsuite.pipelines import (
    PipelineOutput,
    SdxlFamily,
    family,
    family_of,
    noise_generators,
    uncompiled,
)
from perfsuite.results.method import Configuration
from perfsuite.selftest.latency.extra_work import ExtraWork
from perfsuite.workers.protocol import Build, Built, ImagesMade, MakeImages, TakeTurn, Turn
from perfsuite.workers.server import Workbench
from tests.unit.toy_family import Decoder, StableDiffusionXLPipeline, ToyFamily, ToyPipeline

WORK = Workload(("a square",), (0, 1), 3, 1.0, 16, 16)


@dataclasses.dataclass(frozen=True)
class ToySource:
    """Makes the weights of a toy pipeline."""

    def check(self) -> None:
        pass

    def identity(self) -> str:
        return "toy"

    def configuration(self) -> Configuration:
        return Configuration("none", (), "none")

    def load(self, dtype: torch.dtype, torch_device: str) -> Any:
        return ToyPipeline(dtype)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """A checkpoint of toy pipelines; family and checkpoint are registered for this test."""
    monkeypatch.setattr(family, "_FAMILIES", dict(family._FAMILIES))
    monkeypatch.setattr(sampling, "watch_for", lambda device: FakeWatch())
    register_family(ToyFamily())
    checkpoint = Checkpoint("toy", ToySource(), WORK, WORK, "a toy")
    monkeypatch.setitem(registry._CHECKPOINTS, "toy", checkpoint)
    return checkpoint


def build(name: str, checkpoint: Checkpoint) -> BuiltTier:
    (tier,) = find_tiers([name])
    return build_tier(tier, checkpoint, CpuDevice())


# --- a user's own family


def test_a_users_family_makes_images_with_their_latents(toy: Checkpoint) -> None:
    first, second = WORK.shots()
    with build("fp32", toy) as built:
        image, again, other = (generate(built.pipeline, WORK, s) for s in (first, first, second))
        assert image.latents.shape == (4, WORK.height, WORK.width)
    assert image.pixels.shape == (16, 16, 3)
    assert image.finite
    assert np.array_equal(image.pixels, again.pixels)
    assert not np.array_equal(image.pixels, other.pixels)


def test_a_users_family_is_measured(toy: Checkpoint, one_thread: None) -> None:
    with build("fp32", toy) as built:
        measured = measure_tier(built, SamplingPlan(budget_s=0.01))
    assert len(measured.latency.samples_s) >= 6
    assert min(measured.latency.samples_s) > 0
    assert measured.workload == WORK.digest


def test_a_users_family_takes_turns_in_a_gate(
    toy: Checkpoint, one_thread: None, tmp_path: Path
) -> None:
    bench, turns = Workbench(), list[Turn]()
    assert isinstance(bench.answer(Build("fp32", "toy", WORK, WORK, "cpu", 1)), Built)
    last = bench.answer(TakeTurn(), turns.append)
    assert isinstance(last, Turn)
    assert [turn.done for turn in (*turns, last)] == [False, False, False, True]
    made = bench.answer(MakeImages(str(tmp_path / "images.safetensors")))
    assert made == ImagesMade((True, True))
    gc.unfreeze()


def test_changes_act_on_a_users_modules(toy: Checkpoint) -> None:
    with build("bf16", toy) as built:
        assert built.dtype is torch.bfloat16
        assert built.family.denoiser(built.pipeline)[0].weight.dtype is torch.bfloat16


def test_what_a_family_cannot_do_is_a_finding_and_the_tier_goes_without(toy: Checkpoint) -> None:
    with build("fused-qkv", toy) as built:
        findings = {each.subject: each.message for each in built.findings}
        assert isinstance(built.pipeline.transformer, nn.Sequential)
    assert set(findings) - {"bfloat16"} == {  # said of some CPUs
        "plain_attention",
        "fused_attention",
        "fuse_qkv",
        "compile_denoiser_and_decoder",
    }
    assert findings["fuse_qkv"] == "toy pipelines have no fused projections: this tier goes without"


def test_layers_are_named_by_the_familys_components(toy: Checkpoint) -> None:
    pipeline = ToyPipeline()
    pipeline.transformer = nn.Sequential(nn.Linear(4, 4))
    inputs = torch.ones(2, 4)
    kept = capture_activations(pipeline, ["transformer.0"], lambda: pipeline.transformer(inputs))
    assert list(kept) == ["transformer.0"]


def test_extra_work_is_done_in_the_module_that_the_pipeline_calls(
    toy: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, done = ExtraWork(torch.float32, CpuDevice()), list[int]()
    monkeypatch.setattr(work, "_do", done.append)
    pipeline = ToyPipeline()
    with work.inside(pipeline):
        run(pipeline, WORK, next(WORK.shots()))
    assert done == [1, 1, 1]


def test_a_family_that_forgets_the_latents_is_told_so(toy: Checkpoint) -> None:
    class Forgetful(ToyFamily):
        pipelines = ("ForgetfulPipeline",)

        def call(self, *arguments: Any, **options: Any) -> PipelineOutput:
            return dataclasses.replace(super().call(*arguments, **options), latents=None)

    class ForgetfulPipeline(ToyPipeline):
        pass

    register_family(Forgetful())
    with pytest.raises(MeasurementError, match=r"'toy' gave no final latents.*keeps_latents"):
        generate(ForgetfulPipeline(), WORK, next(WORK.shots()))


# --- the table


def test_a_family_is_found_by_the_class_of_a_pipeline_and_by_its_bases(toy: Checkpoint) -> None:
    class Derived(ToyPipeline):
        pass

    assert family_of(Derived()) is family_of(ToyPipeline())
    assert family_of(Derived()).name == "toy"


def test_a_pipeline_without_a_family_is_refused_with_the_way_out() -> None:
    way_out = r"for ToyPipeline .*StableDiffusionXLPipeline.*register_family"
    with pytest.raises(LadderError, match=way_out):
        family_of(ToyPipeline())


def test_a_class_belongs_to_one_family(toy: Checkpoint) -> None:
    with pytest.raises(LadderError, match="ToyPipeline belongs to the family 'toy' already"):
        register_family(ToyFamily())


class Nameless(ToyFamily):
    pipelines: tuple[str, ...] = ()  # type: ignore[assignment]


class OneText(ToyFamily):
    pipelines = "MyPipeline"  # type: ignore[assignment]


class Structural:
    """Has only some of the protocol's members, and does not derive from it."""

    name = "structural"
    pipelines = ("Any",)

    def call(self) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (ToyFamily, r"register_family\(ToyFamily\(\)\)"),
        (Nameless(), "names no pipeline class"),
        (OneText(), r"pipelines = \('MyPipeline',\)"),
        (Structural(), "Structural has no denoiser_name, .*text_encoder_names.*subclass"),
    ],
)
def test_a_family_that_cannot_work_is_refused_at_once(wrong: Any, said: str) -> None:
    with pytest.raises(LadderError, match=said):
        register_family(wrong)
    with pytest.raises(LadderError, match="no pipeline family"):
        family_of(ToyPipeline())


def test_a_family_without_a_call_cannot_be_made() -> None:
    class Empty(PipelineFamily):
        name = "empty"

    with pytest.raises(TypeError, match="call"):
        Empty()  # type: ignore[abstract]


# --- SDXL's family


@pytest.fixture
def fp32(quick: Checkpoint, one_thread: None) -> Iterator[BuiltTier]:
    with build("fp32", quick) as built:
        yield built


def test_sdxl_parts_are_the_pipelines_own(fp32: BuiltTier) -> None:
    pipeline, sdxl = fp32.pipeline, fp32.family
    assert isinstance(sdxl, SdxlFamily)
    assert sdxl.denoiser(pipeline) is sdxl.denoiser_as_called(pipeline) is pipeline.unet
    assert sdxl.decoder(pipeline) is pipeline.vae
    assert sdxl.text_encoders(pipeline) == (pipeline.text_encoder, pipeline.text_encoder_2)
    assert sdxl.modules(pipeline) == {"unet": pipeline.unet, "vae": pipeline.vae}


def test_sdxl_images_are_those_of_a_plain_call_to_the_bit(fp32: BuiltTier) -> None:
    work = dataclasses.replace(fp32.checkpoint.quality, batch_size=2)
    shot = next(work.shots())
    plain = fp32.pipeline(
        prompt=[shot.prompt] * 2,
        num_inference_steps=work.steps,
        guidance_scale=work.guidance_scale,
        height=work.height,
        width=work.width,
        generator=noise_generators(work, shot),
        output_type="np",
    ).images
    image = generate(fp32.pipeline, work, shot)
    assert np.array_equal(image.pixels, plain[0])
    factor = fp32.pipeline.vae_scale_factor
    assert image.latents.shape == (4, work.height // factor, work.width // factor)


def test_sdxls_step_hook_sees_every_step_and_changes_nothing(fp32: BuiltTier) -> None:
    work, steps = fp32.checkpoint.quality, list[int]()
    shot = next(work.shots())
    hooked: Any = run(fp32.pipeline, work, shot, on_step=steps.append)
    plain: Any = run(fp32.pipeline, work, shot)
    assert steps == list(range(work.steps))
    assert hooked[0].tobytes() == plain[0].tobytes()


def test_sdxl_gets_no_hook_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def called(self: Any, **options: Any) -> Any:
        asked.append(options)
        return StableDiffusionXLPipeline(images=["image"])

    monkeypatch.setattr(StableDiffusionXLPipeline, "__call__", called, raising=False)
    pipeline, shot = StableDiffusionXLPipeline(), next(WORK.shots())
    assert run(pipeline, WORK, shot) == ["image"]
    run(pipeline, WORK, shot, on_step=lambda step: None)
    assert "callback_on_step_end" not in asked[0]
    assert set(asked[1]) - set(asked[0]) == {"callback_on_step_end"}


def test_what_is_compiled_is_called_and_what_is_inside_is_changed() -> None:
    inside = nn.Linear(2, 2)
    pipeline = StableDiffusionXLPipeline(unet=inside, vae=Decoder(4, 3, 1))
    sdxl = family_of(pipeline)
    sdxl.compile(pipeline, "default")
    assert sdxl.denoiser_as_called(pipeline) is not inside
    assert sdxl.denoiser(pipeline) is uncompiled(pipeline.unet) is inside
    assert sdxl.modules(pipeline)["unet"] is inside


# --- nobody else names the parts

PACKAGE = Path(perfsuite.__file__).parent
EXEMPT = ("pipelines", "checkpoints")
"""Families name their parts; checkpoints read the folders of diffusers, named by component."""
PARTS = frozenset(
    (SdxlFamily.denoiser_name, SdxlFamily.decoder_name, *SdxlFamily.text_encoder_names)
)


def named(source: str) -> list[str]:
    """Where a source names a family's part, with lines.

    Attributes and texts that are a component's name, texts that begin with it and a dot, and
    identifiers that hold 'unet'; docstrings may say UNet.
    """
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = []
    for node in ast.walk(tree):
        words = [getattr(node, field, None) for field in ("id", "attr", "arg", "name", "asname")]
        names_part = any(isinstance(word, str) and "unet" in word.lower() for word in words)
        names_part |= isinstance(node, ast.Attribute) and node.attr in PARTS
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            begins = node.value.startswith("unet") or node.value.partition(".")[0] in PARTS
            names_part = begins and id(node) not in docstrings
        if names_part:
            found.append(f"{getattr(node, 'lineno', 0)}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "p.unet",
        "unet = 1",
        "x = 'unet.0'",
        "f(unet=1)",
        "def new_unet(): ...",
        "import a.UNet",
        "p.vae",
        "getattr(p, 'text_encoder_2')",
    ],
)
def test_a_name_of_a_part_is_seen(source: str) -> None:
    assert len(named(source)) == 1


@pytest.mark.parametrize(
    "source", ["'unet is a docstring'", "x = 'the UNet'", "def vae_scale(): ..."]
)
def test_text_for_people_is_none(source: str) -> None:
    assert named(source) == []


def test_no_other_module_names_the_parts_of_a_family() -> None:
    sources = [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in EXEMPT
    ]
    assert len(sources) > 50
    found = {str(path.relative_to(PACKAGE)): named(path.read_text()) for path in sources}
    assert {path: names for path, names in found.items() if names} == {}
