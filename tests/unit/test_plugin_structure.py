"""The structure test in whole pytest sessions, on the real pocket pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from perfsuite.checkpoints import Checkpoint
from perfsuite.ladder import changes
from perfsuite.results.session import TierResult, load_record
from perfsuite.results.verdict import Metric, Outcome

TESTS = """
    def test_latency(perf_latency_verdict, perf_enforce):
        perf_enforce(perf_latency_verdict)

    def test_structure(perf_structure_verdict, perf_enforce):
        perf_enforce(perf_structure_verdict)

    def test_images(perf_quality_verdict, perf_enforce):
        perf_enforce(perf_quality_verdict)
"""
QUICK = ("--perf-checkpoint", "quick", "--perf-tiers", "fp32")
COUNTED = ("-m", "perf and not timing", *QUICK)


@pytest.fixture
def project(pytester: pytest.Pytester, quick: Checkpoint) -> pytest.Pytester:
    pytester.makepyfile(TESTS)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_inprocess(*(arguments or COUNTED))


def counted(project: pytest.Pytester) -> TierResult:
    (result,) = load_record(project.path / ".perfsuite" / "runs" / "latest.json").tiers
    return result


def test_only_what_is_counted_runs_without_the_marker_timing(project: pytest.Pytester) -> None:
    run(project).assert_outcomes(skipped=1, deselected=2)
    run(project).assert_outcomes(passed=1, deselected=2)
    result = counted(project)
    assert result.measurement is None
    assert result.counters is not None
    assert result.counters.image.operators > 1000


def test_timing_selects_the_others(project: pytest.Pytester) -> None:
    result = run(project, "-m", "perf and timing", *QUICK, "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*test_latency*", "*test_images*"])
    result.stdout.no_fnmatch_line("*test_structure*")


def test_only_structure_leaves_out_the_others(project: pytest.Pytester) -> None:
    result = run(project, "-m", "perf", *QUICK, "--perf-only=structure", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*test_structure*"])
    result.stdout.no_fnmatch_line("*test_latency*")


@pytest.mark.parametrize("worse", [pytest.param(True, marks=pytest.mark.slow), False])
def test_more_fails_and_less_fails_too(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, worse: bool
) -> None:
    forward: Callable[..., object] = UNet2DConditionModel.forward

    def with_one_more(
        self: UNet2DConditionModel, sample: torch.Tensor, *a: object, **k: object
    ) -> object:
        return forward(self, sample + 0, *a, **k)

    changed = monkeypatch.context()
    with changed as patch:
        if not worse:
            patch.setattr(UNet2DConditionModel, "forward", with_one_more)
        run(project)
    if worse:
        monkeypatch.setattr(UNet2DConditionModel, "forward", with_one_more)
    result = run(project)
    result.assert_outcomes(failed=1, deselected=2)
    sign, steps = ("+", 2) if worse else ("-", 2)
    result.stdout.fnmatch_lines([f"*{sign}{steps} aten.add in unet*"])
    verdict = counted(project).verdict(Metric.STRUCTURE)
    assert verdict is not None
    assert verdict.outcome is (Outcome.REGRESSED if worse else Outcome.IMPROVED)


def test_update_makes_the_counts_the_baseline(project: pytest.Pytester) -> None:
    run(project, *COUNTED, "--perf-update").assert_outcomes(passed=1, deselected=2)
    assert (project.path / "baselines" / "counters" / "quick.json").is_file()
    run(project, *COUNTED, "--perf-missing=fail").assert_outcomes(passed=1, deselected=2)


def test_attention_without_sdpa_fails_without_a_baseline(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite.ladder import table
    from perfsuite.ladder.builder import Builder, change

    @change(exact=True)
    def one_block_split(builder: Builder) -> None:
        """Plain attention in one block."""
        block = builder.family.denoiser(builder.pipeline).mid_block.attentions[0]
        block.transformer_blocks[0].attn1.set_processor(AttnProcessor())

    rows = {**table._TIERS}
    rows["split"] = table.Tier(
        "split", "fp32", (changes.fused_attention, one_block_split), "planted"
    )
    monkeypatch.setattr(table, "_TIERS", rows)
    result = run(project, "-m", "perf and not timing", *QUICK[:2], "--perf-tiers=split")
    result.assert_outcomes(failed=1, deselected=2)
    where = "unet.mid_block.attentions.0.transformer_blocks.0.attn1"
    result.stdout.fnmatch_lines([f"*no scaled_dot_product_attention in 1 module: {where}*"])


def test_a_profile_on_demand_is_a_trace_and_the_heaviest_operators(
    project: pytest.Pytester,
) -> None:
    result = run(
        project, "-m", "perf", *QUICK, "--perf-only=latency", "--perf-budget=0.2", "--perf-profile"
    )
    found = counted(project)
    assert found.profile is not None
    assert Path(found.profile.trace).stat().st_size > 1000
    assert "traceEvents" in json.loads(Path(found.profile.trace).read_text())
    shares = [each.share for each in found.profile.heaviest]
    assert len(shares) == 10
    assert shares == sorted(shares, reverse=True)
    result.stdout.fnmatch_lines(["*heaviest operators: aten::*"])
    stages = found.measurement.stages if found.measurement else None
    assert stages is not None
    (one,) = {len(each.steps_s) for each in stages.passes}
    assert one == 1
    for each in stages.passes:
        assert sum(each.parts_s.values()) == pytest.approx(each.total_s)
        assert min(each.parts_s.values()) >= 0
