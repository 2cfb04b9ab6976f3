from __future__ import annotations

from dataclasses import replace

import pytest

from perfsuite.ab.session import with_hello
from perfsuite.judge.ab import judge_tier
from perfsuite.report.ab import ANSWERS, COLUMNS, gate_document, notes, verdict_text
from perfsuite.report.console import render_console
from perfsuite.report.markdown import render_markdown
from perfsuite.report.numbers import ABSENT
from perfsuite.report.table import Row, Table
from perfsuite.results.ab import Answer, Arm, Failure, GateRecord, TierGate
from perfsuite.results.policy import PairedPolicy
from perfsuite.results.reasons import CountChanged, MorePairs, RunsDiffer
from perfsuite.results.verdict import Metric, Outcome, Verdict
from tests.unit.ab_samples import gate_record, hello, images_verdict, tier

NAMES = tuple(column.name for column in COLUMNS)


def judged(ratio: float = 1.0, *, compiles: bool = False, name: str = "bf16") -> TierGate:
    plain = replace(
        tier(ratio, compiles=compiles),
        tier=name,
        control_images=images_verdict(),
        treatment_images=images_verdict(),
    )
    return replace(plain, verdicts=judge_tier(plain, PairedPolicy()))


def gate_rows(record: GateRecord) -> tuple[Row, ...]:
    (table,) = [block for block in gate_document(record).blocks if isinstance(block, Table)]
    assert table.columns == COLUMNS
    return table.rows


def cells(tier_: TierGate) -> dict[str, str]:
    (row,) = gate_rows(gate_record(tier_))
    return dict(zip(NAMES, row.cells, strict=True))


def printed(record: GateRecord, width: int = 80) -> str:
    return render_console(gate_document(record), width=width)


def extreme() -> GateRecord:
    """The widest cells that are likely."""
    latency = Verdict(
        Metric.LATENCY,
        Outcome.INCONCLUSIVE,
        (MorePairs(100.0, 140),),
        measured=12.345,
        expected=12.345,
        change=-0.123,
        change_interval=(-0.227, -0.019),
        minimum_detectable_effect=0.123,
    )
    memory = Verdict(Metric.MEMORY, Outcome.PASSED, change=-0.0999)
    cold = Verdict(Metric.COLD_COMPILE, Outcome.PASSED, change=0.12)
    warm = Verdict(Metric.WARM_COMPILE, Outcome.PASSED, change=-0.12)
    images = Verdict(Metric.IMAGES, Outcome.PASSED, measured=0.9971)
    wide = TierGate("fused-qkv", verdicts=(latency, memory, cold, warm, images))
    return gate_record(wide, replace(wide, tier="int8"), judged(name="sdpa"))


def test_a_row_says_what_was_measured() -> None:
    assert cells(judged(1.02, compiles=True)) == {
        "tier": "bf16",
        "control": "200 ms",
        "treated": "204 ms",
        "change": "+2.0 ±0.9%",
        "MDE": "5.8%",
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
        ((Metric.COLD_COMPILE,), "slow compile"),
        ((Metric.GRAPH_BREAKS,), "graph breaks"),
        ((Metric.RECOMPILES,), "recompiles"),
        ((Metric.IMAGES,), "image worse"),
        ((Metric.SAME_IMAGES,), "image worse"),
        ((Metric.LATENCY, Metric.IMAGES), "regressed"),
    ],
)
def test_the_verdict_says_in_what_a_tier_is_worse(metrics: tuple[Metric, ...], text: str) -> None:
    verdicts = tuple(Verdict(metric, Outcome.REGRESSED) for metric in metrics)
    assert verdict_text(TierGate("bf16", verdicts=verdicts)) == text


def test_what_is_worse_in_two_respects_is_named_below_the_table() -> None:
    verdicts = (
        Verdict(Metric.LATENCY, Outcome.REGRESSED),
        Verdict(Metric.GRAPH_BREAKS, Outcome.REGRESSED, (CountChanged("graph breaks", 0, 2),)),
    )
    said = notes(gate_record(TierGate("bf16", verdicts=verdicts)))
    assert "bf16: graph breaks: 0 before, 2 now" in said
    assert "bf16: worse in latency, graph breaks" in said


def test_a_failure_of_the_treatment_is_told_from_one_that_proves_nothing() -> None:
    failure = Failure(Arm.TREATMENT, "treatment: RuntimeError: bad graph", is_regression=True)
    record = gate_record(TierGate("compile", failure=failure))
    assert verdict_text(record.tiers[0]) == "fails"
    assert "compile: treatment: RuntimeError: bad graph" in notes(record)


def test_both_arms_are_named_with_what_differs() -> None:
    text = printed(gate_record(judged()), width=100)
    assert "control: . (Python 3.11.7, torch 2.13.0)" in text
    assert "treatment: torch==2.14.1 (Python 3.11.7, torch 2.14.1)" in text
    assert "both arms hold the same packages" not in text


def test_what_else_differs_is_named_and_what_only_one_arm_has_is_not() -> None:
    record = gate_record(judged())
    control = with_hello(record.control, hello(torch="2.13.0", sympy="1.13", mypy="2.4"))
    treatment = with_hello(record.treatment, hello("/new", torch="2.14.1", sympy="1.14"))
    text = printed(replace(record, control=control, treatment=treatment), width=100)
    assert "torch 2.13.0; differs in sympy 1.13)" in text
    assert "torch 2.14.1; differs in sympy 1.14)" in text


def test_an_environment_against_itself_is_said_to_be_that() -> None:
    record = gate_record(judged())
    same = replace(record, treatment=with_hello(record.treatment, hello("/new", torch="2.13.0")))
    assert notes(same)[0].startswith("both arms hold the same packages")


def test_tiers_that_were_not_reached_are_named() -> None:
    record = gate_record(judged(), wanted=("bf16", "sdpa", "int8"))
    assert "not measured: sdpa, int8" in notes(record)
    assert "could not run: nothing is said of the treatment" in printed(record)


def test_advice_names_options_that_the_gate_has() -> None:
    reasons = (MorePairs(17.0, 57), RunsDiffer(0.05))
    latency = Verdict(Metric.LATENCY, Outcome.INCONCLUSIVE, reasons)
    record = gate_record(TierGate("bf16", verdicts=(latency,)))
    for text in (printed(record, width=200), render_markdown(gate_document(record))):
        assert "about 17 more seconds of sampling would settle it: --budget 57" in text
        assert "try --tolerance 0.1" in text
        assert "--perf-" not in text


def test_the_order_is_what_was_compared_then_the_table_notes_answer_and_legend() -> None:
    record = gate_record(judged(1.5), wanted=("bf16", "sdpa"))
    text = " ".join(printed(record).split())
    assert text.startswith("perfsuite gate: regressed: the treatment is worse than the control")
    parts = (
        "control: .",
        "treatment: torch==2.14.1",
        " ".join(NAMES),
        "not measured: sdpa",
        ANSWERS[Answer.REGRESSED],
        "change: treatment against control",
    )
    places = [text.rindex(part) for part in parts]
    assert places == sorted(places)


@pytest.mark.parametrize("width", [80, 100, 140])
def test_nothing_is_wider_than_the_page_and_no_cell_is_cut(width: int) -> None:
    record = extreme()
    text = printed(record, width)
    assert "…" not in text
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= width
    for row in gate_rows(record):
        (line,) = [line for line in lines if line.startswith(f"{row.cells[0]} ")]
        assert line.split() == " ".join(row.cells).split()


def test_a_narrow_page_leaves_columns_out_and_keeps_what_decides() -> None:
    record = extreme()
    text = printed(record, width=50)
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= 50
    (head,) = [line for line in lines if line.startswith("tier ") and line.endswith(" verdict")]
    kept = head.split()
    assert set(kept) < set(NAMES)
    assert {"tier", "change", "verdict"} <= set(kept)
    for row in gate_rows(record):
        (line,) = [line for line in lines if line.startswith(f"{row.cells[0]} ")]
        shown = (cell for name, cell in zip(NAMES, row.cells, strict=True) if name in kept)
        assert line.split() == " ".join(shown).split()


def test_markdown_has_the_same_cells() -> None:
    record = extreme()
    text = render_markdown(gate_document(record))
    assert text.startswith("### perfsuite gate: inconclusive")
    assert f"| {' | '.join(NAMES)} |" in text
    for row in gate_rows(record):
        assert f"| {' | '.join(row.cells)} |" in text


def test_markdown_is_not_broken_by_what_an_error_says() -> None:
    failure = Failure(None, "TypeError: int | None <x>")
    text = render_markdown(gate_document(gate_record(TierGate("bf16", failure=failure))))
    assert r"int \| None &lt;x>" in text
