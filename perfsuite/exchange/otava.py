"""CSV that Apache Otava reads: one row for each run, one column for each series.

Otava takes no empty cell for a number, so a run that lacks one of the series is left out.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from perfsuite.results.history import Point, Series, Unit

_ATTRIBUTES = ("run", "host", "revision", "torch", "diffusers", "torchao")
_UNITS = {
    Unit.SECONDS: "s",
    Unit.BYTES: "bytes",
    Unit.DECIBELS: "db",
    Unit.COUNT: "count",
    Unit.FRACTION: "fraction",
}


@dataclass(frozen=True)
class OtavaTable:
    """What was written.

    Attributes:
        text: CSV, with a heading.
        rows: runs that are in it.
        left_out: runs that lack one of the series.
    """

    text: str
    rows: int
    left_out: int


def otava_csv(series: Sequence[Series]) -> OtavaTable:
    """Runs of some series, oldest first; each series needs a column name of its own."""
    columns = [column_name(each) for each in series]
    by_run: dict[str, dict[str, Point]] = {}
    for name, each in zip(columns, series, strict=True):
        for point in each.points:
            by_run.setdefault(point.run_id, {})[name] = point
    whole = [points for points in by_run.values() if len(points) == len(columns)]
    whole.sort(key=lambda points: (points[columns[0]].at, points[columns[0]].run_id))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["time", *_ATTRIBUTES, *columns])
    for points in whole:
        one = points[columns[0]]
        versions = {**one.versions, "run": one.run_id, "host": one.host or ""}
        about = [versions.get(name, "") for name in _ATTRIBUTES]
        writer.writerow([one.at, *about, *(repr(points[name].value) for name in columns)])
    return OtavaTable(buffer.getvalue(), len(whole), len(by_run) - len(whole))


def column_name(series: Series) -> str:
    """Names a column: `int8_latency_s`."""
    key = series.key
    name = re.sub(r"\W+", "_", f"{key.label} {key.quantity.name}").strip("_")
    return f"{name}_{_UNITS[key.quantity.unit]}"
