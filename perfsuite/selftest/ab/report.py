"""The gate's self-test in two dialects. A renderer returns text, computes nothing."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from perfsuite.report.console import drawn
from perfsuite.selftest.ab.tries import GateReport, GateRow
from perfsuite.selftest.latency.rates import Rate

COLUMNS = ("planted", "called slower", "passed", "estimate", "sampling", "longest")
LEGEND = (
    "planted: extra work in the treatment's UNet; called slower, passed: how many gates of how "
    "many, with the 95 % interval (Wilson); estimate: mean change and its standard error; "
    "sampling: median and largest seconds of sampling of one gate"
)


def summary(report: GateReport) -> str:
    """What was tried, and where."""
    packages, hardware = report.environment.packages, report.environment.hardware
    return (
        f"{len(report.tries)} gates over {', '.join(report.tiers)} in turn, tolerance "
        f"{report.tolerance * 100:g}%, on {hardware.model}, {report.environment.threads} thread, "
        f"torch {packages.get('torch', '?')}; {report.wall_s:.0f} s each (median); between samples "
        f"goes {report.overhead * 100:.1f}% of a sample"
    )


def render_console(report: GateReport, *, width: int = 80, colour: bool = False) -> str:
    """The table for a terminal; its lines fit into 80 columns."""

    def draw(console: Console) -> None:
        console.print(Padding(Text(summary(report)), (0, 0, 1, 0)))
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
        for name in COLUMNS:
            table.add_column(name, justify="right", no_wrap=True)
        for row in report.rows:
            table.add_row(*_cells(row))
        console.print(table)
        console.print(Padding(Text(LEGEND, style="dim"), (1, 0, 0, 0)))

    return drawn(draw, width, colour)


def render_markdown(report: GateReport) -> str:
    """The page that the documentation keeps."""
    began = report.tries[0].environment.recorded_at
    lines = ["# Self-test of the upgrade gate", ""]
    lines += [f"`perfsuite selftest --gate`, begun {began}: {summary(report)}.", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "| ---: " * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in report.rows]
    lines += ["", LEGEND, "", "## Every gate", ""]
    lines += ["| try | tier | planted | change | verdict | sampling |", "| ---: " * 6 + "|"]
    for each in report.tries:
        change = "-" if each.latency.change is None else f"{each.latency.change * 100:+.1f}%"
        cells = (
            str(each.number),
            each.tier,
            f"{each.slowdown:.0%}",
            change,
            each.latency.outcome.value,
            f"{each.sampling_s:.0f} s",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


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
