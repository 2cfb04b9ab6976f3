"""The dialect of programs: a document as JSON, block by block, in the words that people read."""

from __future__ import annotations

from typing import Any

import msgspec

from perfsuite.report.table import Block, Code, Details, Document, Heading, Legend, Lines, Table


def render_json(document: Document) -> str:
    """A document as a list of blocks; a table's rows are objects from column to text."""
    blocks = [_block(block) for block in document.blocks]
    return msgspec.json.format(msgspec.json.encode(blocks), indent=1).decode() + "\n"


def _block(block: Block) -> dict[str, Any]:
    match block:
        case Heading(text, depth):
            return {"heading": text, "depth": depth}
        case Lines(lines):
            return {"lines": lines}
        case Legend(table):
            return {"lines": (table.legend,)}
        case Table(columns, rows):
            names = [column.name or "note" for column in columns]
            return {"table": [dict(zip(names, row.cells, strict=True)) for row in rows]}
        case Code(text):
            return {"code": text}
        case Details(summary, blocks):
            return {"details": summary, "blocks": [_block(each) for each in blocks]}
