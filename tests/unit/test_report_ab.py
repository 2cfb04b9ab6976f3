from __future__ import annotations

from dataclasses import replace

import pytest

from perfsuite.ab.session import with_hello
from perfsuite.judge.ab import judge_tier
from perfsuite.report.ab import (
    COLUMNS,
    gate_rows,
    notes,
    render_gate_console,
    render_gate_markdown,
    verdict_text,
)
from perfsuite.report.numbers import ABSENT
from perfsuite.results.ab import Arm, Failure, GateRecord, TierGate
from perfsuite.results.policy import PairedPolicy
from perfsuite.results.verdict import Metric, Outcome, Verdict
from tests.unit.gate_samples import gate_record, hello, tier
from tests.unit.samples import quality_verdict


def judged(ratio: float = 1.0, *, compiles: bool = False, name: str = "bf16") -> TierGate:
    plain = replace(
        tier(ratio, compiles=compiles),
        tier=name,
        control_images=quality_verdict(),
        treatment_images=quality_verdict(),
    )
    return replace(plain, verdicts=judge_tier(plain, PairedPolicy()))


def cells(tier_: TierGate) -> dict[str, str]:
    (row,) = gate_rows(gate_record(tier_))
    return dict(zip(COLUMNS, row.cells, strict=True))


def extreme() -> GateRecord:
    """The widest cells that are likely."""
    latency = Verdict(
        Metric.LATENCY, Outcome.INCONCLUSIVE, "about 100 more seconds of sampling would settle it",
        12.345, 12.345, -0.123, (-0.227, -0.019), 0.123,
    )  # fmt: skip
    memory = Verdict(Metric.MEMORY, Outcome.PASSED, change=-0.0999)
    cold = Verdict(Metric.COLD_COMPILE, Outcome.PASSED, change=0.12)
    warm = Verdict(Metric.WARM_COMPILE, Outcome.PASSED, change=-0.12)
    images = Verdict(Metric.IMAGES, Outcome.PASSED, treatment=0.9971)
    wide = TierGate("fused-qkv", verdicts=(latency, memory, cold, warm, images))
    return gate_record(wide, replace(wide, tier="int8"), judged(name="sdpa"))


def test_a_row_says_what_was_measured() -> None:
    assert cells(judged(1.02, compiles=True)) == {
        "tier": "bf16",
        "control": "200 ms",
        "treated": "204 ms",
        "change": "+2.0 ±0.9%",
        "sees": "5.8%",
        "peak": "+0.0%",
        "compile": "+0/+0%",
        "SSIM": "0.9700",
        "verdict": "passed",
    }


def test_what_is_not_known_is_a_dash_and_never_a_zero() -> None:
    row = cells(TierGate("fp32", failure=Failure(None, "the worker died")))
    assert (row.pop("tier"), row.pop("verdict")) == ("fp32", "could not run")
    assert set(row.values()) == {ABSENT}


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ((Metric.LATENCY,), "slower"),
        ((Metric.MEMORY,), "more memory"),
        ((Metric.SAME_IMAGES,), "image worse"),
        ((Metric.LATENCY, Metric.IMAGES), "regressed"),
    ],
)
def test_the_verdict_says_in_what_a_tier_is_worse(metrics: tuple[Metric, ...], text: str) -> None:
    verdicts = tuple(Verdict(metric, Outcome.REGRESSED) for metric in metrics)
    assert verdict_text(TierGate("bf16", verdicts=verdicts)) == text


def test_a_failure_of_the_treatment_is_told_from_one_that_proves_nothing() -> None:
    failure = Failure(Arm.TREATMENT, "treatment: RuntimeError: bad graph", is_regression=True)
    record = gate_record(TierGate("compile", failure=failure))
    assert verdict_text(record.tiers[0]) == "fails"
    assert "compile: treatment: RuntimeError: bad graph" in notes(record)


def test_both_sides_are_named_with_what_differs() -> None:
    text = render_gate_console(gate_record(judged()), width=100)
    assert "control: . (Python 3.11.7, torch 2.13.0)" in text
    assert "treatment: torch==2.14.1 (Python 3.11.7, torch 2.14.1)" in text
    assert "both arms hold the same packages" not in text


def test_what_else_differs_is_named_and_what_only_one_side_has_is_not() -> None:
    record = gate_record(judged())
    control = with_hello(record.control, hello(torch="2.13.0", sympy="1.13", mypy="2.4"))
    treatment = with_hello(record.treatment, hello("/new", torch="2.14.1", sympy="1.14"))
    text = render_gate_console(replace(record, control=control, treatment=treatment), width=100)
    assert "torch 2.13.0; differs in sympy 1.13)" in text
    assert "torch 2.14.1; differs in sympy 1.14)" in text


def test_an_environment_against_itself_is_said_to_be_that() -> None:
    record = gate_record(judged())
    same = replace(record, treatment=with_hello(record.treatment, hello("/new", torch="2.13.0")))
    assert notes(same)[0].startswith("both arms hold the same packages")


def test_tiers_that_were_not_reached_are_named() -> None:
    record = gate_record(judged(), wanted=("bf16", "sdpa", "int8"))
    assert "not measured: sdpa, int8" in notes(record)
    assert "could not run: nothing is said of the treatment" in render_gate_console(record)


def test_no_cell_is_cut_at_80_columns() -> None:
    record = extreme()
    text = render_gate_console(record, width=80)
    assert "…" not in text
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= 80
    for row in gate_rows(record):
        (line,) = [line for line in lines if line.startswith(f"{row.cells[0]} ")]
        assert line.split() == " ".join(row.cells).split()


def test_markdown_has_the_same_cells() -> None:
    record = extreme()
    text = render_gate_markdown(record)
    assert text.startswith("### perfsuite gate: inconclusive")
    assert f"| {' | '.join(COLUMNS)} |" in text
    for row in gate_rows(record):
        assert f"| {' | '.join(row.cells)} |" in text


def test_markdown_is_not_broken_by_what_an_error_says() -> None:
    failure = Failure(None, "TypeError: int | None <x>")
    text = render_gate_markdown(gate_record(TierGate("bf16", failure=failure)))
    assert r"int \| None &lt;x>" in text
