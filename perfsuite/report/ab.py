"""A gate's report: both arms, one row for each tier, and what the table has no room for."""

from __future__ import annotations

from perfsuite.report.messages import COMMAND, say, say_all
from perfsuite.report.numbers import (
    ABSENT,
    format_change,
    format_percent,
    format_seconds,
    format_signed,
    format_value,
)
from perfsuite.report.session import MDE, about_work
from perfsuite.report.table import Column, Document, Heading, Legend, Lines, Row, Table
from perfsuite.results.ab import Answer, ArmFacts, GateRecord, TierGate
from perfsuite.results.verdict import Metric, Outcome, Verdict

COLUMNS = (
    Column("tier", is_text=True),
    Column("control", sheds=4, about="its median latency"),
    Column("treated", sheds=5, about="the treatment's"),
    Column("change", about="treatment against control, with 95 % interval"),
    Column("MDE", sheds=3, about=MDE),
    Column("peak", sheds=2, about="change of peak memory"),
    Column("compile", sheds=1, about="change of compile time, cold/warm"),
    Column("SSIM", sheds=6, about="the treatment's worst image against fp32"),
    Column("verdict", is_text=True),
)
ANSWERS = {
    Answer.PASSED: "passed: the treatment is no worse than the control",
    Answer.REGRESSED: "regressed: the treatment is worse than the control",
    Answer.INCONCLUSIVE: "inconclusive: what was measured does not settle it",
    Answer.COULD_NOT_RUN: "could not run: nothing is said of the treatment",
    Answer.INTERRUPTED: "interrupted: what was measured until then is in the record",
}
_HEADINGS = ("torch", "diffusers", "transformers", "torchao")
_MOST_DIFFERENCES = 12


def gate_document(record: GateRecord) -> Document:
    """The table with both environments above it, and reasons below."""
    table = Table(COLUMNS, tuple(_row(tier) for tier in record.tiers))
    return Document(
        (
            Heading(f"perfsuite gate: {ANSWERS[record.answer]}"),
            Lines(heading(record)),
            table,
            Lines(notes(record)),
            Lines((ANSWERS[record.answer],), bold=True),
            Legend(table),
        )
    )


def heading(record: GateRecord) -> tuple[str, ...]:
    """What was compared, and where."""
    return (
        about_work(record.checkpoint, record.latency_workload, record.environment),
        f"control: {_described(record.control, record.treatment)}",
        f"treatment: {_described(record.treatment, record.control)}",
    )


def notes(record: GateRecord) -> tuple[str, ...]:
    """What the table has no room for, each on one line."""
    lines = []
    if record.is_self_comparison:
        lines.append("both arms hold the same packages: this measures the gate, not an upgrade")
    for tier in record.tiers:
        lines += [f"{tier.tier}: {said}" for said in _said(tier)]
    missing = len(record.wanted) - len(record.tiers)
    if missing:
        lines.append(f"not measured: {', '.join(record.wanted[-missing:])}")
    return tuple(lines)


def structure_lines(tier: TierGate) -> tuple[str, ...]:
    """What differs in what both arms ask of torch, each on one line."""
    verdict = tier.structure
    if verdict is None:
        return ()
    if not verdict.reasons:
        return (f"{tier.tier}: both arms ask the same of torch",)
    return tuple(f"{tier.tier}: {say(each, COMMAND)}" for each in verdict.reasons)


def _row(tier: TierGate) -> Row:
    known = {each.metric: each for each in tier.verdicts}

    def verdict(metric: Metric) -> Verdict:
        return known.get(metric, Verdict(metric, Outcome.INVALID))

    latency = verdict(Metric.LATENCY)
    cells = (
        tier.tier,
        format_seconds(latency.expected),
        format_seconds(latency.measured),
        format_change(latency.change, latency.change_interval),
        format_percent(latency.minimum_detectable_effect),
        format_signed(verdict(Metric.MEMORY).change),
        _compile(verdict(Metric.COLD_COMPILE).change, verdict(Metric.WARM_COMPILE).change),
        _ssim(verdict(Metric.IMAGES), verdict(Metric.SAME_IMAGES)),
        verdict_text(tier),
    )
    return Row(cells, tier.outcome)


def verdict_text(tier: TierGate) -> str:
    """The one verdict on a tier; where it regressed, in what."""
    if tier.failure is not None:
        return "fails" if tier.failure.is_regression else "could not run"
    worse = [each.metric for each in tier.verdicts if each.outcome is Outcome.REGRESSED]
    if len(worse) > 1:
        return "regressed"
    if worse:
        return _WORSE[worse[0]]
    return tier.outcome.value if tier.outcome else ABSENT


_WORSE = {
    Metric.LATENCY: "slower",
    Metric.MEMORY: "more memory",
    Metric.COLD_COMPILE: "slow compile",
    Metric.WARM_COMPILE: "slow compile",
    Metric.GRAPH_BREAKS: "graph breaks",
    Metric.RECOMPILES: "recompiles",
    Metric.STRUCTURE: "structure",
    Metric.IMAGES: "image worse",
    Metric.SAME_IMAGES: "image worse",
}


def _said(tier: TierGate) -> list[str]:
    """Reasons and findings of a tier."""
    said = [tier.failure.message] if tier.failure else []
    said += [say_all(each.reasons, COMMAND) for each in tier.verdicts if each.reasons]
    worse = [each.metric.value for each in tier.verdicts if each.outcome is Outcome.REGRESSED]
    if len(worse) > 1:
        said.append(f"worse in {', '.join(worse)}")
    return said


def _described(arm: ArmFacts, other: ArmFacts) -> str:
    """An arm by its SPEC, its main packages, and what else both have in other versions."""
    packages, others = arm.packages or {}, other.packages or {}
    main = [f"{name} {packages[name]}" for name in _HEADINGS if name in packages]
    rest = [
        f"{name} {packages[name]}"
        for name in sorted(packages, key=str.lower)
        if name not in _HEADINGS and others.get(name, packages[name]) != packages[name]
    ]
    more = f" and {len(rest) - _MOST_DIFFERENCES} more" if len(rest) > _MOST_DIFFERENCES else ""
    differs = f"; differs in {', '.join(rest[:_MOST_DIFFERENCES])}{more}" if rest else ""
    python = f"Python {arm.python}, " if arm.python else ""
    return f"{arm.spec} ({python}{', '.join(main)}{differs})" if packages else arm.spec


def _compile(cold: float | None, warm: float | None) -> str:
    if cold is None and warm is None:
        return ABSENT
    said = [ABSENT if each is None else f"{round(each * 100) + 0:+d}" for each in (cold, warm)]
    return f"{'/'.join(said)}%"


def _ssim(images: Verdict, same: Verdict) -> str:
    """Against fp32; where there are no references, against the control."""
    value = same.measured if images.measured is None else images.measured
    return format_value(Metric.IMAGES, value)
