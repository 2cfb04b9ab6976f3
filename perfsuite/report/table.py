"""What a report consists of, before it is written in any dialect.

A builder (`session`, `ab`, `bisect`, `selftest`) turns a record into a `Document`; a dialect
(`console`, `markdown`) turns any document into text. Neither knows of the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.results.verdict import Outcome


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its heading; empty for remarks.
        is_text: text stands left and may wrap; numbers stand right and never do.
        sheds: order in which columns are left out where the page is too narrow, 1 first; 0 for
            those that always stay.
        on_pages_only: whether a terminal never shows it: a link, say.
        about: what its numbers mean, for the legend; empty for what needs no words.
    """

    name: str
    is_text: bool = False
    sheds: int = 0
    on_pages_only: bool = False
    about: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        cells: text for each column.
        outcome: what the line says as a whole, for the colour of its last cell.
        stands_out: whether it is drawn bold.
    """

    cells: tuple[str, ...]
    outcome: Outcome | None = None
    stands_out: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under columns."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def fitted(self, width: int) -> Table:
        """The table for a terminal of so many characters; columns without room are left out."""
        kept = [place for place, each in enumerate(self.columns) if not each.on_pages_only]
        for place in sorted(kept, key=lambda each: self.columns[each].sheds):
            if self.columns[place].sheds and self._width(kept) > width:
                kept.remove(place)
        if len(kept) == len(self.columns):
            return self
        rows = tuple(
            Row(tuple(row.cells[place] for place in kept), row.outcome, row.stands_out)
            for row in self.rows
        )
        return Table(tuple(self.columns[place] for place in kept), rows)

    @property
    def legend(self) -> str:
        """What the columns mean, in one line."""
        return "; ".join(f"{each.name}: {each.about}" for each in self.columns if each.about)

    def _width(self, places: list[int]) -> int:
        """Characters of the longest cells and a space between columns; remarks may wrap."""
        lines = [tuple(column.name for column in self.columns), *(row.cells for row in self.rows)]
        named = [place for place in places if self.columns[place].name]
        return sum(max(len(line[place]) for line in lines) + 1 for place in named) - 1


@dataclass(frozen=True)
class Legend:
    """What the columns of a table mean, but for those that had no room."""

    table: Table


@dataclass(frozen=True)
class Heading:
    """What the report is about; the first one is the page's title in Markdown.

    Attributes:
        text: one line.
        depth: 1 for the report's, 2 for that of a part.
    """

    text: str
    depth: int = 1


@dataclass(frozen=True)
class Lines:
    """Lines that belong together.

    Attributes:
        lines: each a sentence or a fact.
        bold: whether they are what a reader looks for.
        dim: whether they only explain.
    """

    lines: tuple[str, ...]
    bold: bool = False
    dim: bool = False


@dataclass(frozen=True)
class Code:
    """Something to be typed or copied as it stands."""

    text: str


@dataclass(frozen=True)
class Details:
    """A part that most readers skip: folded away where the dialect can.

    Attributes:
        summary: one line that stays to be seen.
        blocks: the part.
    """

    summary: str
    blocks: tuple[Block, ...]


Block = Heading | Lines | Table | Legend | Code | Details


@dataclass(frozen=True)
class Document:
    """A report, from top to bottom."""

    blocks: tuple[Block, ...]
