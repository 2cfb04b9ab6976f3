"""Counts are judged exactly, and what differs is named with its module."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfsuite.judge.structure import RecordedCounts, faults, judge_arms, judge_structure
from perfsuite.report.messages import describe, say, say_all
from perfsuite.results.counters import (
    CompiledGraph,
    Counted,
    GraphBreak,
    LayerCensus,
    Recompile,
    TierCounters,
    WeightBytes,
)
from perfsuite.results.structure_reasons import CountsDiffer
from perfsuite.results.verdict import Metric, Outcome, Verdict
from tests.unit.counted import BLOCK, COMPILATION, IMAGE, LAYERS, counters, with_calls

KNOWN = RecordedCounts(counters())


def judged(now: TierCounters, known: RecordedCounts | None = KNOWN) -> Verdict:
    return judge_structure("compile", now, known)


def test_equal_counts_pass() -> None:
    verdict = judged(counters())
    assert (verdict.metric, verdict.outcome) == (Metric.STRUCTURE, Outcome.PASSED)
    assert verdict.reasons == ()
    assert verdict.measured == verdict.expected == IMAGE.operators


def test_more_operators_are_a_regression_that_names_the_module() -> None:
    verdict = judged(with_calls({"vae.decoder.conv_in": {"aten.convolution": 2}}))
    assert verdict.outcome is Outcome.REGRESSED
    assert describe(verdict) == (
        "structure regressed: 1 more operator (11 before, 12 now): "
        "+1 aten.convolution in vae.decoder.conv_in"
    )


def test_differences_in_one_part_say_so() -> None:
    more = {f"{BLOCK}.attn1": {"aten.bmm": 9}, f"{BLOCK}.attn1.to_q": {"aten.mm": 6}}
    (reason,) = judged(with_calls(more), KNOWN).reasons
    assert isinstance(reason, CountsDiffer)
    assert reason.within == f"{BLOCK}.attn1"
    assert f"all in {BLOCK}.attn1: +9 aten.bmm in {BLOCK}.attn1," in say(reason)


def test_fewer_operators_are_an_unclaimed_win() -> None:
    verdict = judged(with_calls({f"{BLOCK}.attn1.to_q": {"aten.mm": 1}}))
    assert verdict.outcome is Outcome.IMPROVED
    assert "make it the baseline with --perf-update" in say_all(verdict.reasons)
    assert f"-2 aten.mm in {BLOCK}.attn1.to_q" in say_all(verdict.reasons)


def test_a_win_beside_a_loss_is_a_regression() -> None:
    fewer = with_calls({f"{BLOCK}.attn1.to_q": {"aten.mm": 1}})
    heavier = replace(fewer, weights=(WeightBytes("unet", "bfloat16", 2 << 20),))
    assert judged(heavier).outcome is Outcome.REGRESSED


def test_kernels_are_explained_by_component_and_name() -> None:
    vae = CompiledGraph("vae", {"cpp_fused_native_group_norm": 20}, {}, "c")
    graphs = (COMPILATION.graphs[0], vae)
    verdict = judged(counters(compilation=replace(COMPILATION, graphs=graphs)))
    assert say_all(verdict.reasons) == (
        "14 more kernels (17 before, 31 now), all in vae: +20 cpp_fused_native_group_norm in vae, "
        "-6 cpp_fused_native_group_norm_silu in vae"
    )


def test_the_digest_of_generated_code_is_not_judged() -> None:
    graphs = tuple(replace(each, code="other") for each in COMPILATION.graphs)
    assert judged(counters(compilation=replace(COMPILATION, graphs=graphs))).reasons == ()


def test_kernels_of_another_machine_are_not_compared() -> None:
    other = counters(compilation=replace(COMPILATION, graphs=()))
    assert judged(other, replace(KNOWN, same_machine=False)).outcome is Outcome.PASSED


def test_counts_of_other_versions_judge_nothing_and_say_what_changed() -> None:
    elsewhere = replace(KNOWN, before=("torch 2.13.0",), now=("torch 2.14.1",))
    verdict = judged(with_calls({"unet.conv_in": {"aten.convolution": 4}}), elsewhere)
    assert verdict.outcome is Outcome.NO_BASELINE
    assert "counted with torch 2.13.0, here is torch 2.14.1" in describe(verdict)
    assert "+1 aten.convolution in unet.conv_in" in describe(verdict)


def test_layers_say_what_they_were_and_what_they_are() -> None:
    lost = replace(LAYERS, layers={**LAYERS.layers, "unet.conv_in": "Conv2d bfloat16"})
    said = say_all(judged(counters(layers=lost)).reasons)
    assert "unet.conv_in is Conv2d bfloat16" in said
    assert "unet.conv_in was Conv2d bfloat16 channels_last" in said


PLACE = "unet.py:7 in forward"
WRONG = {
    "1 graph break: call to print (unet.py:7 in forward)": counters(
        compilation=replace(
            COMPILATION, breaks=(GraphBreak("call to print", "unet.py:7 in forward"),)
        )
    ),
    "compiled again once: unet, since x.shape[0] == 2": counters(
        compilation=replace(COMPILATION, recompiles=(Recompile("unet", "x.shape[0] == 2"),))
    ),
    "1 of 1 layer that are to be quantised are not: unet.a": counters(
        layers=replace(LAYERS, missed=("unet.a",))
    ),
    "1 layer quantised that the filter leaves out: unet.a": counters(
        layers=replace(LAYERS, unwanted=("unet.a",))
    ),
    f"no scaled_dot_product_attention in 1 module: {BLOCK}.attn1": with_calls(
        {f"{BLOCK}.attn1": {"aten._softmax": 3}}
    ),
    f"products that are not in bfloat16: float32 in {BLOCK}.attn1.to_q": counters(
        replace(IMAGE, products={f"{BLOCK}.attn1.to_q": {"float32": 3}})
    ),
}


@pytest.mark.parametrize("said", WRONG)
@pytest.mark.parametrize("known", [None, KNOWN])
def test_what_is_wrong_by_itself_fails_without_a_baseline_too(
    said: str, known: RecordedCounts | None
) -> None:
    verdict = judged(WRONG[said], known)
    assert verdict.outcome is Outcome.REGRESSED
    assert say(verdict.reasons[0]) == said


def test_nothing_recorded_is_no_baseline() -> None:
    assert judged(counters(), None).outcome is Outcome.NO_BASELINE


def test_separate_attention_is_right_where_it_is_meant_or_in_a_text_encoder() -> None:
    meant = replace(with_calls({f"{BLOCK}.attn1": {"aten._softmax": 3}}), fused_attention=False)
    assert faults(meant) == ()
    assert faults(with_calls({"text_encoder.attn": {"aten._softmax": 3}})) == ()


def test_half_precision_may_leave_products_in_float32() -> None:
    mixed = counters(replace(IMAGE, products={"vae.a": {"float32": 1}}), dtype="float16")
    assert faults(mixed) == ()


def test_a_tier_without_quantisation_misses_nothing() -> None:
    assert faults(counters(layers=LayerCensus(LAYERS.layers))) == ()


def test_between_versions_a_gate_says_the_difference_and_passes() -> None:
    more = with_calls({"unet.conv_in": {"aten.convolution": 4}})
    verdict = judge_arms(counters(), more, same_versions=False)
    assert verdict.outcome is Outcome.PASSED
    assert "+1 aten.convolution in unet.conv_in" in describe(verdict)
    assert judge_arms(counters(), more, same_versions=True).outcome is Outcome.REGRESSED


def test_a_gate_blames_the_treatment_for_what_the_control_has_not() -> None:
    broken = counters(layers=replace(LAYERS, missed=("unet.a",)))
    assert judge_arms(counters(), broken, same_versions=False).outcome is Outcome.REGRESSED
    assert judge_arms(broken, broken, same_versions=False).outcome is Outcome.PASSED


def test_every_kind_of_count_is_compared() -> None:
    assert set(counters().tallies()) == set(Counted)
