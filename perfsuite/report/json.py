"""The dialect of programs: a document's tables as JSON, cell by cell, as people read them."""

from __future__ import annotations

import msgspec

from perfsuite.report.table import Document, Table


def render_json(document: Document) -> str:
    """Every table of a document: a list of rows, each an object from column to text."""
    tables = [
        [
            {
                column.name or "note": cell
                for column, cell in zip(table.columns, row.cells, strict=True)
            }
            for row in table.rows
        ]
        for table in document.blocks
        if isinstance(table, Table)
    ]
    return msgspec.json.format(msgspec.json.encode(tables), indent=1).decode() + "\n"
