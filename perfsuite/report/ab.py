"""The gate's table: one row for each tier, for the terminal and for Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from perfsuite.judge import Outcome
from perfsuite.report.console import STYLES, drawn
from perfsuite.report.session import ABSENT, Row, format_seconds
from perfsuite.results.ab import Answer, ArmFacts, GateRecord, TierGate
from perfsuite.results.verdict import Metric, MetricVerdict

COLUMNS = (
    "tier",
    "control",
    "treated",
    "change",
    "sees",
    "peak",
    "compile",
    "SSIM",
    "verdict",
)
LEGEND = (
    "control, treated: median latency; change: treatment against control, with 95 % interval; "
    "sees: smallest slowdown that this gate would call a regression (95 % power); peak: change of "
    "peak memory; compile: change of compile time, cold/warm; SSIM: the treatment's worst image "
    "against fp32"
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


def render_gate_console(record: GateRecord, *, width: int = 80, colour: bool = False) -> str:
    """The table with both environments above it, and reasons below."""

    def draw(console: Console) -> None:
        for line in heading(record):
            console.print(Text(line, style="bold"))
        console.print(_table(record))
        for note in notes(record):
            console.print(Padding(Text(note), (0, 0, 0, 2)))
        console.print(Text(ANSWERS[record.answer], style="bold"))
        console.print(Padding(Text(LEGEND, style="dim"), (1, 0, 0, 0)))

    return drawn(draw, width, colour)


def render_gate_markdown(record: GateRecord) -> str:
    """The same for a pull request, an issue or a job's summary."""
    lines = [f"### perfsuite gate: {ANSWERS[record.answer]}", ""]
    lines += [f"- {line}" for line in heading(record)]
    lines += ["", markdown_row(COLUMNS)]
    lines.append(markdown_row(tuple(":--" if _is_left(name) else "--:" for name in COLUMNS)))
    lines += [markdown_row(row.cells) for row in gate_rows(record)]
    lines += ["", *(f"- {_escaped(note)}" for note in notes(record)), "", f"*{LEGEND}*"]
    return "\n".join(lines) + "\n"


def heading(record: GateRecord) -> tuple[str, ...]:
    """What was compared, and where."""
    work = record.latency_workload
    threads = record.environment.threads
    return (
        f"{record.checkpoint}, {work.width}x{work.height}, {work.steps} steps, batch "
        f"{work.batch_size} on {record.environment.hardware.model}, "
        f"{threads} {'thread' if threads == 1 else 'threads'}",
        f"control: {_described(record.control, record.treatment)}",
        f"treatment: {_described(record.treatment, record.control)}",
    )


def gate_rows(record: GateRecord) -> tuple[Row, ...]:
    """One row for each tier."""
    return tuple(_row(tier) for tier in record.tiers)


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


@dataclass(frozen=True)
class _Known:
    """Verdicts of a tier, by metric."""

    tier: TierGate

    def __getitem__(self, metric: Metric) -> MetricVerdict:
        unknown = MetricVerdict(metric, Outcome.INVALID)
        return next((each for each in self.tier.verdicts if each.metric is metric), unknown)


def _row(tier: TierGate) -> Row:
    known = _Known(tier)
    latency = known[Metric.LATENCY]
    cells = (
        tier.tier,
        _seconds(latency.control),
        _seconds(latency.treatment),
        format_change(latency),
        _percent(latency.minimum_detectable_effect),
        _signed(known[Metric.MEMORY].change),
        _compile(known[Metric.COLD_COMPILE].change, known[Metric.WARM_COMPILE].change),
        _ssim(known),
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
    Metric.IMAGES: "image worse",
    Metric.SAME_IMAGES: "image worse",
}


def _said(tier: TierGate) -> list[str]:
    """Reasons and findings of a tier."""
    said = [tier.failure.message] if tier.failure else []
    said += [each.reason for each in tier.verdicts if each.reason]
    worse = [each.metric.value for each in tier.verdicts if each.outcome is Outcome.REGRESSED]
    if len(worse) > 1:
        said.append(f"worse in {', '.join(worse)}")
    return said


def _described(arm: ArmFacts, other: ArmFacts) -> str:
    """A arm by its SPEC, its main packages, and what else both have in other versions."""
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


def _table(record: GateRecord) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="left" if _is_left(name) else "right", no_wrap=True)
    for row in gate_rows(record):
        cells = [Text(cell) for cell in row.cells]
        cells[-1].stylize(STYLES.get(row.outcome, "") if row.outcome else "red")
        table.add_row(*cells)
    return table


def _is_left(column: str) -> bool:
    return column in ("tier", "verdict")


def markdown_row(cells: tuple[str, ...]) -> str:
    """A row of a Markdown table, whatever its cells hold."""
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _seconds(seconds: float | None) -> str:
    return ABSENT if seconds is None else format_seconds(seconds)


def _percent(fraction: float | None) -> str:
    return ABSENT if fraction is None else f"{fraction * 100:.1f}%"


def _signed(fraction: float | None) -> str:
    """A change as a signed percentage of at most five characters below 1000 %."""
    if fraction is None:
        return ABSENT
    return f"{_plus_minus(fraction, digits=1 if abs(fraction) < 0.0995 else 0)}%"


def _plus_minus(fraction: float, *, digits: int) -> str:
    """Per cent with its sign; what rounds to nothing is +0, never -0."""
    return f"{round(fraction * 100, digits) + 0.0:+.{digits}f}"


def format_change(verdict: MetricVerdict) -> str:
    """A change with half the width of its interval: '+5.1 ±0.8%'."""
    if verdict.change is None or verdict.interval is None:
        return ABSENT
    low, high = verdict.interval
    half_width = (high - low) / 2 * 100
    digits = 1 if half_width < 9.95 else 0
    return f"{_signed(verdict.change).rstrip('%')} ±{half_width:.{digits}f}%"


def _compile(cold: float | None, warm: float | None) -> str:
    if cold is None and warm is None:
        return ABSENT
    said = [ABSENT if each is None else _plus_minus(each, digits=0) for each in (cold, warm)]
    return f"{'/'.join(said)}%"


def _ssim(known: _Known) -> str:
    """Against fp32; where there are no references, against the control."""
    images = known[Metric.IMAGES].treatment
    value = known[Metric.SAME_IMAGES].treatment if images is None else images
    return ABSENT if value is None else f"{value:.4f}"
