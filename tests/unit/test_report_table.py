"""The table model, and what the three dialects make of it."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from perfsuite.report import ab, bisect, session
from perfsuite.report.console import render_console
from perfsuite.report.json import render_json
from perfsuite.report.markdown import render_markdown
from perfsuite.report.table import Code, Column, Document, Heading, Legend, Lines, Row, Table
from perfsuite.results.verdict import Outcome
from perfsuite.selftest.quality import report as quality

COLUMNS = (
    Column("tier", is_text=True),
    Column("latency"),
    Column("second to go", sheds=2),
    Column("last to go", sheds=3),
    Column("first to go", sheds=1),
    Column("verdict", is_text=True),
)
ROWS = (
    Row(("fp32", "12.3 s ±11%", "-", "1.2345", "3.0 GiB", "inconclusive"), Outcome.INCONCLUSIVE),
    Row(("fused-qkv", "188 ms ±9.8%", "65.66", "0.1234", "999 MiB", "passed"), Outcome.PASSED),
)
TABLE = Table(COLUMNS, ROWS)
# The longest of each column and a space between two: 9 + 12 + 12 + 10 + 11 + 12 and 5.
WIDTH = 71
SHED = ("first to go", "second to go", "last to go")


def names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


# --- which columns are shed


def test_a_table_that_fits_keeps_every_column() -> None:
    assert TABLE.fitted(WIDTH) == TABLE


@pytest.mark.parametrize(
    ("width", "shed"),
    [
        (WIDTH - 1, 1),
        (WIDTH - 12, 1),
        (WIDTH - 13, 2),
        (WIDTH - 25, 2),
        (WIDTH - 26, 3),
        (WIDTH - 36, 3),
        (1, 3),
    ],
)
def test_columns_are_shed_in_their_order_and_no_more_than_is_needed(width: int, shed: int) -> None:
    fitted = TABLE.fitted(width)
    expected = tuple(column for column in COLUMNS if column.name not in SHED[:shed])
    assert fitted.columns == expected


def test_cells_outcome_and_weight_stay_with_their_row() -> None:
    bold = Table(COLUMNS, (Row(ROWS[0].cells, Outcome.REGRESSED, stands_out=True), ROWS[1]))
    first, second = bold.fitted(1).rows
    assert first == Row(("fp32", "12.3 s ±11%", "inconclusive"), Outcome.REGRESSED, True)
    assert second == Row(("fused-qkv", "188 ms ±9.8%", "passed"), Outcome.PASSED)


def test_columns_that_shed_nothing_stay_however_narrow_the_page_is() -> None:
    assert names(TABLE.fitted(0)) == ("tier", "latency", "verdict")


def test_remarks_may_wrap_and_make_no_other_column_go() -> None:
    remarks = Table(
        (*COLUMNS, Column("", is_text=True)),
        tuple(Row((*row.cells, "a long remark " * 9), row.outcome) for row in ROWS),
    )
    assert remarks.fitted(WIDTH) == remarks


def test_the_more_narrow_the_page_the_fewer_columns() -> None:
    kept = [set(names(TABLE.fitted(width))) for width in range(WIDTH + 5)]
    assert all(fewer <= more for fewer, more in pairwise(kept))


@pytest.mark.parametrize("columns", [session.COLUMNS, ab.COLUMNS, bisect.COLUMNS, quality.COLUMNS])
def test_every_reports_columns_are_shed_one_after_another(columns: tuple[Column, ...]) -> None:
    order = sorted(column.sheds for column in columns if column.sheds)
    assert order == list(range(1, len(order) + 1))
    assert not columns[0].sheds


# --- the terminal


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_cell_is_cut_and_no_line_too_long(width: int) -> None:
    lines = render_console(Document((TABLE,)), width=width).splitlines()
    assert max(len(line) for line in lines) <= width
    assert len(lines) == 1 + len(ROWS)
    for row, line in zip(TABLE.fitted(width).rows, lines[1:], strict=True):
        assert line.split() == " ".join(row.cells).split()


def test_80_columns_show_every_column_and_60_all_but_the_first_to_go() -> None:
    wide, narrow = (
        render_console(Document((TABLE,)), width=width).splitlines()[0] for width in (80, 60)
    )
    assert all(column.name in wide for column in COLUMNS)
    assert [name for name in SHED if name not in narrow] == ["first to go"]


def test_text_stands_left_and_numbers_stand_right() -> None:
    head, first, second = render_console(Document((TABLE,)), width=120).splitlines()
    assert first.startswith("fp32 ")
    end = head.index("latency") + len("latency")
    assert first[:end].endswith("12.3 s ±11%")
    assert second[:end].endswith("188 ms ±9.8%")
    assert first.index("inconclusive") == second.index("passed") == head.index("verdict")


def test_a_long_remark_wraps_under_itself() -> None:
    columns = (Column("version", is_text=True), Column("", is_text=True))
    remark = "no wheel for this Python: " * 6
    text = render_console(Document((Table(columns, (Row(("2.1", remark)),)),)), width=60)
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= 60
    assert " ".join(text.split()) == " ".join(f"version 2.1 {remark}".split())
    assert all(re.match(r" {8}\S", line) for line in lines[2:])


def test_the_outcome_colours_the_last_cell_only_where_colour_is_asked_for() -> None:
    red = Table(COLUMNS, (Row((*ROWS[1].cells[:-1], "regressed"), Outcome.REGRESSED),))
    assert "\x1b[" not in render_console(Document((red,)))
    coloured = render_console(Document((red,)), colour=True)
    assert "\x1b[1;31mregressed" in coloured


def test_what_looks_like_markup_is_printed_as_it_is() -> None:
    document = Document((Heading("[bold]a[/bold]"), Lines(("[red]b[/red] [1, 3]",)), Code("[c]")))
    text = render_console(document)
    assert text.split() == ["[bold]a[/bold]", "[red]b[/red]", "[1,", "3]", "[c]"]


# --- the other dialects

PAGE = Document(
    (
        Heading("A | B"),
        Heading("part", 2),
        TABLE,
        Lines(("one <x>", "two")),
        Lines((), dim=True),
        Lines(("answer",), bold=True),
        Lines(("legend",), dim=True),
        Code("perfsuite bisect"),
    )
)


def test_markdown_shows_every_column_and_shuns_what_would_break_the_table() -> None:
    wanted = """\
### A \\| B

#### part

| tier | latency | second to go | last to go | first to go | verdict |
| :-- | --: | --: | --: | --: | :-- |
| fp32 | 12.3 s ±11% | - | 1.2345 | 3.0 GiB | inconclusive |
| fused-qkv | 188 ms ±9.8% | 65.66 | 0.1234 | 999 MiB | passed |

- one &lt;x>
- two

**answer**\x20\x20

*legend*

```
perfsuite bisect
```
"""
    assert render_markdown(PAGE) == wanted
    assert render_markdown(PAGE, depth=1).startswith("# A \\| B\n\n## part\n")


def test_json_holds_every_block_with_cells_under_their_columns() -> None:
    document = Document(
        (
            Heading("ladder"),
            Lines(("one", "two")),
            Table((Column("tier"), Column("")), (Row(("fp32", "said")),)),
            Code("make perf"),
        )
    )
    assert json.loads(render_json(document)) == [
        {"heading": "ladder", "depth": 1},
        {"lines": ["one", "two"]},
        {"table": [{"tier": "fp32", "note": "said"}]},
        {"code": "make perf"},
    ]


def test_a_legend_explains_no_column_that_was_left_out() -> None:
    columns = (
        Column("tier", is_text=True),
        Column("latency", about="median"),
        Column("first to go", sheds=1, about="a long story"),
    )
    table = Table(columns, (Row(("fp32", "12.3 s", "1.0")),))
    document = Document((table, Legend(table)))
    assert "latency: median; first to go: a long story" in render_console(document, width=80)
    narrow = render_console(document, width=16)
    assert "latency: median" in " ".join(narrow.split())
    assert "long story" not in narrow
    assert "*latency: median; first to go: a long story*" in render_markdown(document)
    assert "first to go: a long story" in render_json(document)
