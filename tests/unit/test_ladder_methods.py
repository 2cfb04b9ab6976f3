"""Rows of the tutorial's other families: what they resolve to, and where they are not supported."""

from __future__ import annotations

import pytest

from perfsuite.checkpoints import Checkpoint, find_checkpoint
from perfsuite.device import CpuDevice
from perfsuite.errors import LadderError
from perfsuite.images.generate import generate
from perfsuite.ladder import (
    Tier,
    build_tier,
    expand,
    find_tiers,
    lineage,
    method,
    needs,
    obstacle,
    register_tier,
    table,
    tiers,
)
from perfsuite.ladder.build import adapter_of, weights_of
from perfsuite.ladder.caching import deepcache
from perfsuite.results.support_reasons import NeedsPackage, NoCounterpart

SDXL, POCKET, RANDOM = (find_checkpoint(name) for name in ("sdxl", "pocket", "sdxl-random"))


def found(name: str) -> Tier:
    return find_tiers([name])[0]


def test_methods_are_measured_only_where_they_are_asked_for() -> None:
    assert expand(None) == ("fp32", "bf16", "sdpa", "compile", "fused-qkv", "int8")
    assert {"lcm-lora", "deepcache", "ssd-1b", "ssd-1b-int8"} < set(expand(["all"]))
    assert {each.name for each in find_tiers(["all"])} == {each.name for each in tiers()}


def test_the_ladder_stands_on_the_smaller_unet_rung_by_rung() -> None:
    rungs = [each.name for each in lineage(found("ssd-1b-int8"))]
    assert rungs == [
        "ssd-1b",
        "ssd-1b-bf16",
        "ssd-1b-sdpa",
        "ssd-1b-compile",
        "ssd-1b-fused-qkv",
        "ssd-1b-int8",
    ]
    for own, other in zip(rungs, expand(None), strict=True):
        assert found(own).changes == found(other).changes
        assert found(own).reference == "ssd-1b"
        published = found(own).published
        assert published is not None
        assert published.peak_bytes is not None
    seconds = [row.published.seconds for name in rungs if (row := found(name)).published]
    assert seconds == [4.813, 3.068, 2.245, 1.646, 1.636, 1.573]


def test_pictures_of_methods_are_as_good_and_those_of_their_rungs_the_same() -> None:
    for name in ("lcm-lora", "deepcache", "ssd-1b"):
        assert (found(name).as_good_as, found(name).reference) == ("fp32", name)
    assert found("ssd-1b-bf16").as_good_as is None


@pytest.mark.parametrize(
    ("checkpoint", "adapter", "weights"),
    [
        (SDXL, "latent-consistency/lcm-lora-sdxl", "ssd-1b"),
        (POCKET, "pocket-lcm", "pocket-ssd"),
    ],
)
def test_each_checkpoint_has_its_own_weights_for_a_method(
    checkpoint: Checkpoint, adapter: str, weights: str
) -> None:
    own = adapter_of(found("lcm-lora"), checkpoint)
    assert own is not None
    assert own.source.endswith(adapter)
    assert weights_of(found("ssd-1b"), checkpoint).name == weights
    assert weights_of(found("ssd-1b-int8"), checkpoint).name == weights


def test_a_checkpoint_without_weights_for_a_method_does_not_support_it() -> None:
    for name, kind in (("lcm-lora", "lcm-lora"), ("ssd-1b-bf16", "ssd-1b")):
        assert obstacle(found(name), RANDOM, CpuDevice()) == NoCounterpart("sdxl-random", kind)
    with pytest.raises(LadderError, match="no weights for tier 'ssd-1b'"):
        weights_of(found("ssd-1b"), RANDOM)
    assert obstacle(found("int8"), RANDOM, CpuDevice()) is None


def test_a_package_that_is_missing_is_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "is_installed", lambda package: False)
    monkeypatch.setattr(method, "is_installed", lambda package: False)
    missing = {
        name: obstacle(found(name), POCKET, CpuDevice()) for name in ("lcm-lora", "deepcache")
    }
    assert missing == {
        "lcm-lora": NeedsPackage("peft", "methods"),
        "deepcache": NeedsPackage("DeepCache", "methods"),
    }
    assert obstacle(found("ssd-1b"), POCKET, CpuDevice()) is None


def test_parameters_of_a_change_tell_it_from_the_same_with_others() -> None:
    assert deepcache(3).name == "deepcache(interval=3, branch=0)"
    assert deepcache(5, branch=1).name == "deepcache(interval=5, branch=1)"


def test_a_tier_as_good_as_one_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table, "_TIERS", dict(table._TIERS))
    with pytest.raises(LadderError, match="as good as 'nothing', which is not registered"):
        register_tier(Tier("mine", "fp32", (), "", reference="mine", as_good_as="nothing"))


@pytest.mark.usefixtures("one_thread")
def test_the_shipped_weights_build_and_draw(quick: Checkpoint) -> None:
    drawn = {}
    for name in ("fp32", "lcm-lora", "deepcache", "ssd-1b"):
        with build_tier(found(name), quick, CpuDevice()) as built:
            image = generate(built.pipeline, built.quality, next(built.quality.shots()))
            drawn[name] = (image.pixels, sum(p.numel() for p in built.pipeline.unet.parameters()))
            assert image.finite
            if name == "lcm-lora":
                assert type(built.pipeline.scheduler).__name__ == "LCMScheduler"
                assert (built.quality.steps, built.quality.guidance_scale) == (4, 0.0)
    assert drawn["ssd-1b"][1] < 0.5 * drawn["fp32"][1]
    assert drawn["lcm-lora"][1] == drawn["fp32"][1]  # fused: nothing but weights is left of it
    for name in ("lcm-lora", "deepcache", "ssd-1b"):
        assert (drawn[name][0] != drawn["fp32"][0]).any()
