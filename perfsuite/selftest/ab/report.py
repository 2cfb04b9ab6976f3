"""The report of the upgrade gate's self-test."""

from __future__ import annotations

from perfsuite.report.numbers import format_signed
from perfsuite.report.table import Column, Document, Heading, Lines, Row, Table
from perfsuite.selftest.ab.trials import GateReport, GateRow, GateTrial
from perfsuite.selftest.experiment import Rate

COLUMNS = (
    Column("planted"),
    Column("called slower"),
    Column("passed"),
    Column("estimate"),
    Column("sampling", sheds=2),
    Column("longest", sheds=1),
)
_GATE_COLUMNS = (
    Column("trial"),
    Column("tier", is_text=True),
    Column("planted"),
    Column("change"),
    Column("sampling", sheds=1),
    Column("verdict", is_text=True),
)
LEGEND = (
    "planted: extra work in the treatment's UNet; called slower, passed: how many gates of how "
    "many, with the 95 % interval (Wilson); estimate: mean change and its standard error; "
    "sampling: median and largest seconds of sampling of one gate"
)


def summary(report: GateReport) -> str:
    """What was tried, and where."""
    packages, hardware = report.environment.packages, report.environment.hardware
    return (
        f"{len(report.trials)} gates over {', '.join(report.tiers)} in turn, tolerance "
        f"{report.tolerance * 100:g}%, on {hardware.model}, {report.environment.threads} thread, "
        f"torch {packages.get('torch', '?')}; {report.wall_s:.0f} s each (median); between samples "
        f"goes {report.overhead * 100:.1f}% of a sample"
    )


def gate_selftest_document(report: GateReport) -> Document:
    """One row for each slowdown, and every gate."""
    began = report.trials[0].environment.recorded_at
    return Document(
        (
            Heading("Self-test of the upgrade gate"),
            Lines((f"`perfsuite selftest --gate`, begun {began}: {summary(report)}.",)),
            Table(COLUMNS, tuple(Row(_cells(row)) for row in report.rows)),
            Lines((LEGEND,), dim=True),
            Heading("Every gate", 2),
            Table(_GATE_COLUMNS, tuple(_gate_row(each) for each in report.trials)),
        )
    )


def _gate_row(trial: GateTrial) -> Row:
    cells = (
        str(trial.number),
        trial.tier,
        f"{trial.slowdown:.0%}",
        format_signed(trial.latency.change),
        f"{trial.sampling_s:.0f} s",
        trial.latency.outcome.value,
    )
    return Row(cells, trial.latency.outcome)


def _cells(row: GateRow) -> tuple[str, ...]:
    error = "" if row.error is None else f" +-{row.error * 100:.1f}"
    return (
        f"{row.slowdown:.0%}",
        _counted(row.regressed),
        _counted(row.passed),
        f"{row.cost * 100:+.1f}{error}%",
        f"{row.sampling_s:.0f} s",
        f"{row.longest_s:.0f} s",
    )


def _counted(rate: Rate) -> str:
    return f"{rate.hits}/{rate.total} ({rate.low:.0%}-{rate.high:.0%})"
