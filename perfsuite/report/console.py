"""The terminal's dialect."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from perfsuite.judge import Outcome
from perfsuite.report.session import COLUMNS, LEGEND, notes, rows
from perfsuite.results.method import TierSummary
from perfsuite.results.session import RunRecord

STYLES = {
    Outcome.PASSED: "green",
    Outcome.RECORDED: "green",
    Outcome.IMPROVED: "bold green",
    Outcome.REGRESSED: "bold red",
    Outcome.INVALID: "magenta",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.NO_BASELINE: "yellow",
}
"""How each outcome is drawn."""


def render_console(record: RunRecord, *, width: int = 80, colour: bool = False) -> str:
    """The table of a run, with reasons and findings below it."""

    def draw(console: Console) -> None:
        console.print(Text(_heading(record), style="bold"))
        console.print(_results(record))
        for note in notes(record):
            console.print(Padding(Text(note), (0, 0, 0, 2)))
        console.print(Padding(Text(LEGEND, style="dim"), (1, 0, 0, 0)))

    return drawn(draw, width, colour)


def render_tiers(tiers: Iterable[TierSummary], *, width: int = 80, colour: bool = False) -> str:
    """The table of tiers: what each adds, and why."""

    def draw(console: Console) -> None:
        for tier in tiers:
            parent = f" on {tier.parent}" if tier.parent else ""
            known = tier.published
            published = f", published {known.seconds:.2f} s ({known.hardware})" if known else ""
            head = Text.assemble((tier.name, "bold"), f"{parent}{published}")
            console.print(head)
            console.print(Padding(Text(tier.why), (0, 0, 0, 2)))
            for change in tier.changes:
                kind = "" if change.exact else " (changes precision)"
                line = Text.assemble("+ ", (change.name, "cyan"), f"{kind}: {change.about}")
                console.print(Padding(line, (0, 0, 0, 4)))
            console.print()

    return drawn(draw, width, colour)


def _heading(record: RunRecord) -> str:
    work = record.latency_workload
    packages = record.environment.packages
    versions = ", ".join(
        f"{name} {packages[name]}" for name in ("torch", "diffusers", "torchao") if name in packages
    )
    return (
        f"{record.checkpoint}, {work.width}x{work.height}, {work.steps} steps, "
        f"batch {work.batch_size} on {record.environment.hardware.model}, "
        f"{_threads(record.environment.threads)}; {versions}"
    )


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _results(record: RunRecord) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    for name in COLUMNS:
        right = name not in ("tier", "verdict")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for row in rows(record):
        style = STYLES.get(row.outcome, "") if row.outcome else "red"
        cells = [Text(cell) for cell in row.cells]
        cells[-1].stylize(style)
        table.add_row(*cells)
    return table


def drawn(draw: Callable[[Console], None], width: int, colour: bool) -> str:
    """What `draw` prints on a console of that width, without spaces at the ends of lines."""
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        legacy_windows=False,
    )
    draw(console)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"
