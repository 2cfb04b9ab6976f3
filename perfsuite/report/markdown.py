"""The dialect of pull requests, issues, job summaries and documentation pages."""

from __future__ import annotations

from perfsuite.report.table import Block, Code, Column, Document, Heading, Lines, Table


def render_markdown(document: Document, *, depth: int = 3) -> str:
    """A document as Markdown.

    Args:
        document: what to write.
        depth: of its first heading: 3 inside somebody's page, 1 for a page of its own.
    """
    parts = [_written(block, depth) for block in document.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _written(block: Block, depth: int) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * (depth + level - 1)} {_escaped(text)}"
        case Lines(lines, bold, dim):
            if bold:
                return "\n".join(f"**{_escaped(line)}**  " for line in lines)
            if dim:
                return "\n".join(f"*{_escaped(line)}*" for line in lines)
            return "\n".join(f"- {_escaped(line)}" for line in lines)
        case Table():
            return _table(block)
        case Code(text):
            return f"```\n{text}\n```"


def _table(table: Table) -> str:
    names = tuple(column.name or "note" for column in table.columns)
    rules = tuple(_rule(column) for column in table.columns)
    rows = (tuple(_escaped(cell) for cell in row.cells) for row in table.rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rules, *rows))


def _rule(column: Column) -> str:
    return ":--" if column.is_text else "--:"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
