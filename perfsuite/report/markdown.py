"""The dialect of pull requests, issues, job summaries and documentation pages."""

from __future__ import annotations

import re
from dataclasses import replace

from perfsuite.report.table import (
    Block,
    Code,
    Column,
    Details,
    Document,
    Heading,
    Legend,
    Lines,
    Table,
)

MOST_BYTES = 65_000
"""Of a comment or an issue: GitHub takes 65,536 characters."""
_LONGEST_LINE = 400
"""Characters of a line or cell of a document that is too long."""
_ROUNDS = 60


def render_markdown(document: Document, *, depth: int = 3, limit: int | None = None) -> str:
    """A document as Markdown.

    Args:
        document: what to write.
        depth: of its first heading: 3 inside somebody's page, 1 for a page of its own.
        limit: bytes that it may have at the most; its longest lists and tables lose their last
            entries, and say how many. None for no limit.
    """
    blocks = document.blocks
    text = _joined(blocks, depth)
    for _ in range(_ROUNDS if limit is not None else 0):
        if len(text.encode(errors="replace")) <= (limit or 0):
            break
        blocks = _shortened(tuple(_clipped(each) for each in blocks))
        text = _joined(blocks, depth)
    if limit is not None:
        text = text.encode(errors="replace")[:limit].decode(errors="ignore")
    return text


def _joined(blocks: tuple[Block, ...], depth: int) -> str:
    parts = [_written(block, depth) for block in blocks]
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
        case Legend(table):
            return _written(Lines((table.legend,), dim=True), depth)
        case Code(text):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            return f"{fence}\n{text}\n{fence}"
        case Details(summary, blocks):
            body = _joined(blocks, depth).strip()
            said = _escaped(summary)
            return f"<details>\n<summary>{said}</summary>\n\n{body}\n\n</details>" if body else ""


def _table(table: Table) -> str:
    names = tuple(column.name or "note" for column in table.columns)
    rules = tuple(_rule(column) for column in table.columns)
    rows = (tuple(_escaped(cell) for cell in row.cells) for row in table.rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rules, *rows))


def _rule(column: Column) -> str:
    return ":--" if column.is_text else "--:"


def _escaped(text: str) -> str:
    """Text as it stands: no HTML, no cell's end, and nobody is called by a name with an @."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return re.sub(r"\s*[\r\n]+\s*", " ", re.sub(r"@(?=\w)", "&#64;", safe))


def _clipped(block: Block) -> Block:
    """A block none of whose lines is longer than a few lines of a page."""
    match block:
        case Lines(lines):
            return replace(block, lines=tuple(_cut(line) for line in lines))
        case Table(rows=rows):
            cut = (replace(row, cells=tuple(_cut(cell) for cell in row.cells)) for row in rows)
            return replace(block, rows=tuple(cut))
        case Code(text):
            return Code(_cut(text))
        case Legend():
            return block
        case Heading(text):
            return replace(block, text=_cut(text))
        case Details(summary, blocks):
            return Details(_cut(summary), tuple(_clipped(each) for each in blocks))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]} …"


def _shortened(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Blocks of which the longest has lost the last third of what it lists."""
    sizes = [len(_written(each, 3)) for each in blocks]
    place = sizes.index(max(sizes))
    return (*blocks[:place], _shorter(blocks[place]), *blocks[place + 1 :])


def _shorter(block: Block) -> Block:
    match block:
        case Lines(lines):
            kept = [line for line in lines if not line.startswith("… and ")]
            left_out = len(lines) - len(kept) and int(lines[-1].split()[2])
            count = len(kept) * 2 // 3
            more = left_out + len(kept) - count
            return replace(block, lines=(*kept[:count], f"… and {more} more"))
        case Table(rows=rows):
            return replace(block, rows=rows[: len(rows) * 2 // 3])
        case Details(summary, blocks):
            return Details(summary, _shortened(blocks))
        case Heading(text):
            return replace(block, text=_cut(text[: len(text) // 2]))
        case Legend():
            return Lines((), dim=True)
        case Code(text):
            return Code(text[: len(text) // 2] + " …")
