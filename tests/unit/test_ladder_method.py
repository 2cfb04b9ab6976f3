"""Rows that are methods of their own: scheduler, steps, guidance, adapter and weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perfsuite.checkpoints import Checkpoint, registry
from perfsuite.checkpoints.adapter import Adapter
from perfsuite.device import CpuDevice
from perfsuite.errors import CheckpointError, LadderError
from perfsuite.images.generate import generate
from perfsuite.images.scoring import make_images
from perfsuite.ladder import (
    Tier,
    build_tier,
    describe_weights,
    find_tiers,
    register_tier,
    resolve_method,
    table,
)
from perfsuite.results.method import Published
from perfsuite.results.reasons import Incomparable
from perfsuite.workload import Overrides

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_TIERS", dict(table._TIERS))


def few_steps(**fields: Any) -> Tier:
    return Tier("few", "fp32", (), "", reference="few", **{"steps": 1, **fields})


def found(name: str) -> Tier:
    return find_tiers([name])[0]


@pytest.mark.usefixtures("one_thread")
def test_a_tier_is_built_with_its_own_scheduler_and_asked_for_its_own_steps(
    quick: Checkpoint,
) -> None:
    from diffusers import LCMScheduler

    register_tier(few_steps(scheduler="LCMScheduler", guidance_scale=1.0))
    asked = quick.workloads(Overrides(steps=3, options=(("steps", "3"),)))
    with build_tier(found("few"), quick, CpuDevice(), workloads=asked) as built:
        assert isinstance(built.pipeline.scheduler, LCMScheduler)
        assert (built.latency.steps, built.latency.guidance_scale) == (1, 1.0)
        assert (built.quality.steps, built.quality.guidance_scale) == (1, 1.0)
        assert built.workloads.quality.steps == 3
        (image,) = make_images(built, built.quality)
    assert image.finite


@pytest.mark.usefixtures("one_thread")
def test_images_are_of_the_workload_that_is_given(quick: Checkpoint) -> None:
    asked = quick.workloads(Overrides(size=(80, 64), steps=1))
    with build_tier(found("fp32"), quick, CpuDevice(), workloads=asked) as built:
        (image,) = make_images(built, built.quality)
        square = replace(built.quality, width=64)
        other = generate(built.pipeline, square, next(square.shots()))
    assert image.pixels.shape == (64, 80, 3)
    assert other.pixels.shape == (64, 64, 3)
    assert built.latency.width == built.quality.width == 80


@pytest.mark.usefixtures("one_thread")
def test_a_tier_is_built_from_its_own_weights(
    quick: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loaded(Exception):
        pass

    class Other:
        def load(self, dtype: object, torch_device: str) -> Any:
            raise Loaded

    other = replace(quick, name="other", source=Other())  # type: ignore[arg-type]
    monkeypatch.setitem(registry._CHECKPOINTS, "other", other)
    register_tier(few_steps(checkpoint="other"))
    with pytest.raises(Loaded):
        build_tier(found("few"), quick, CpuDevice())


def test_a_row_has_its_parents_method_and_reference_unless_it_states_its_own() -> None:
    register_tier(few_steps(scheduler="LCMScheduler"))
    register_tier(Tier("few-fast", "few", (), "", guidance_scale=2.0))
    row = found("few-fast")
    assert (row.steps, row.scheduler, row.guidance_scale) == (1, "LCMScheduler", 2.0)
    assert row.reference == "few"


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 4},
        {"guidance_scale": 1.0},
        {"scheduler": "LCMScheduler"},
        {"checkpoint": "sdxl"},
        {"adapter": Adapter("somebody/lcm", revision=REVISION)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_method_of_its_own_is_not_held_against_the_checkpoints_images(
    fields: dict[str, Any],
) -> None:
    with pytest.raises(LadderError, match="is a method of its own and names no reference"):
        register_tier(Tier("few", "fp32", (), "", **fields))


class FakePipeline:
    """Notes what is asked of a pipeline."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def load_lora_weights(self, source: str, **options: Any) -> None:
        self.asked.append(("load", (source, options)))

    def fuse_lora(self, lora_scale: float) -> None:
        self.asked.append(("fuse", lora_scale))

    def unload_lora_weights(self) -> None:
        self.asked.append(("unload", None))


def test_an_adapter_is_fused_from_safetensors_at_its_revision_and_unloaded() -> None:
    pipeline: Any = FakePipeline()
    Adapter("somebody/lcm", revision=REVISION, scale=0.5).fuse(pipeline)
    assert [what for what, _ in pipeline.asked] == ["load", "fuse", "unload"]
    source, options = pipeline.asked[0][1]
    assert (source, options["revision"], options["use_safetensors"]) == (
        "somebody/lcm",
        REVISION,
        True,
    )
    assert pipeline.asked[1][1] == 0.5


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        (Adapter("somebody/lcm", revision="main"), "has no pinned revision"),
        (Adapter("/nowhere"), "is not there: name a revision, or another path"),
    ],
)
def test_an_adapter_that_cannot_be_loaded_is_refused_beforehand(
    adapter: Adapter, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    with pytest.raises(CheckpointError, match=said):
        adapter.check()


def test_an_adapter_without_peft_is_refused_with_the_package_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="needs peft, which is not installed: pip install"):
        Adapter("somebody/lcm", revision=REVISION).check()


def test_adapters_are_told_apart(tmp_path: Path) -> None:
    one, other = (tmp_path / name for name in ("one", "other"))
    for folder in (one, other):
        folder.mkdir()
        (folder / "pytorch_lora_weights.safetensors").write_text(folder.name)
    identities = {
        Adapter(str(one)).identity(),
        Adapter(str(one), scale=0.5).identity(),
        Adapter(str(other)).identity(),
        Adapter("somebody/lcm", revision=REVISION).identity(),
    }
    assert len(identities) == 4


def test_a_method_tells_what_the_row_and_the_workload_resolve_to(
    quick: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "pytorch_lora_weights.safetensors").write_text("weights")
    register_tier(few_steps(scheduler="LCMScheduler", adapter=Adapter(str(tmp_path))))
    tiers = find_tiers(["fp32", "bf16", "few"])
    weights, work = describe_weights(tiers, quick), quick.workloads()
    fp32, bf16, few = (resolve_method(tier, quick, weights, work) for tier in tiers)
    assert fp32.changes == ("full_float32", "plain_attention")
    assert bf16.changes == ("bfloat16", "full_float32", "plain_attention")
    assert fp32.workload == bf16.workload == quick.latency.digest
    assert fp32.identity == quick.source.identity()
    assert fp32.configuration is not None
    assert fp32.configuration.scheduler == "EulerDiscreteScheduler"
    components = {each.name for each in fp32.configuration.components}
    assert components >= {"pipeline", "unet", "vae", "text_encoder", "scheduler"}
    assert few.adapter is not None
    assert few.difference(fp32) == Incomparable("scheduler", "its own", "LCMScheduler")


def test_published_figures_name_source_and_hardware() -> None:
    published = found("fp32").published
    assert isinstance(published, Published)
    assert published.seconds == 7.36
    assert "A100" in published.hardware
    assert "Hugging Face" in published.source
    assert published.peak_bytes == 16_830_000_000
