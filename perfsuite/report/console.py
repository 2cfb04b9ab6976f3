"""The terminal's dialect."""

from __future__ import annotations

import io

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from perfsuite.report.table import Block, Code, Details, Document, Heading, Legend, Lines, Table
from perfsuite.results.verdict import Outcome

_STYLES = {
    Outcome.NOT_SUPPORTED: "dim",
    Outcome.PASSED: "green",
    Outcome.RECORDED: "green",
    Outcome.IMPROVED: "bold green",
    Outcome.REGRESSED: "bold red",
    Outcome.INVALID: "magenta",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.NO_BASELINE: "yellow",
    Outcome.NOT_CALIBRATED: "yellow",
    Outcome.NOT_MEASURED: "yellow",
}


def render_console(document: Document, *, width: int = 80, colour: bool = False) -> str:
    """A document for a terminal of that width, without spaces at the ends of lines."""
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        legacy_windows=False,
    )
    for block in document.blocks:
        _print(console, block)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _print(console: Console, block: Block) -> None:
    match block:
        case Heading(text):
            console.print(Text(text, style="bold"))
        case Lines(lines, bold, dim):
            for line in lines:
                indent = 0 if bold or dim else 2
                style = "bold" if bold else "dim" if dim else ""
                console.print(Padding(Text(line, style=style), (int(dim), 0, 0, indent)))
        case Table():
            console.print(_table(block.fitted(console.width)))
        case Legend(table):
            _print(console, Lines((table.fitted(console.width).legend,), dim=True))
        case Code(text):
            console.print(Padding(Text(text), (1, 0, 1, 2)))
        case Details(summary, blocks):
            console.print(Text(summary, style="bold"))
            for each in blocks:
                _print(console, each)


def _table(table: Table) -> RichTable:
    drawn = RichTable(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    for column in table.columns:
        drawn.add_column(
            column.name,
            justify="left" if column.is_text else "right",
            no_wrap=bool(column.name),
            overflow="fold",
        )
    for row in table.rows:
        cells = [Text(cell) for cell in row.cells]
        if row.outcome is not None:
            cells[-1].stylize(_STYLES[row.outcome])
        drawn.add_row(*cells, style="bold" if row.stands_out else "")
    return drawn
