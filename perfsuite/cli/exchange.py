"""The commands `import` and `export`: results of other tools, and results for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perfsuite.cli.common import COULD_NOT_RUN, put, say
from perfsuite.cli.history import database_of, entry_named, place_options, select, selection_options
from perfsuite.errors import HistoryError, PerfsuiteError, SettingsError
from perfsuite.storage import check_outputs, write_whole

if TYPE_CHECKING:
    from perfsuite.history.database import Database
    from perfsuite.history.store import Selection
    from perfsuite.results.history import Series

_FORMATS = ("otava", "pytest-benchmark", "github-action-benchmark", "pytorch-oss", "prometheus")


@click.command("import")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH…"
)
@place_options
def import_results(paths: tuple[Path, ...], history: str | None, out: str | None) -> None:
    """Add results that lie in files to the history.

    PATH is a record of perfsuite's own (under runs/ or gates/), JSON of pytest-benchmark
    (--benchmark-json, --benchmark-save), a file of asv's results, or a folder of any of these. What
    is in the history already is replaced, not doubled. What cannot be read is named, the rest is
    added.

    Ends with exit code 4 if something could not be read.
    """
    from perfsuite.exchange.reading import files_below, read_entry
    from perfsuite.history.store import append

    database = database_of(history, out)
    entries, refused = [], 0
    for path in (each for named in paths for each in files_below(named)):
        try:
            entries.append(read_entry(path))
        except PerfsuiteError as error:
            refused += 1
            say(f"warning: {error}")
    if entries:
        append(database, entries)
    click.echo(f"{len(entries)} {'run' if len(entries) == 1 else 'runs'} added to {database}")
    if refused or not entries:
        raise SystemExit(COULD_NOT_RUN)


@click.command()
@click.argument("run", default="latest")
@click.option("--format", "form", required=True, type=click.Choice(_FORMATS))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write here.")
@selection_options
@click.option("--metric", default="latency", show_default=True, help="With otava; or all.")
@click.option("--last", type=click.IntRange(1), help="With otava: so many runs at the most.")
@place_options
def export(
    run: str,
    form: str,
    output: Path | None,
    metric: str,
    last: int | None,
    history: str | None,
    out: str | None,
    **given: Any,
) -> None:
    """Write RUN (the latest; as in perfsuite compare) in the format of another tool.

    otava is CSV of all runs of the chosen series, for Apache Otava: columns are time, run, host,
    revision, versions, and one for each tier. The options that choose runs are for it alone.
    """
    from perfsuite.exchange.formats import OF_ONE_RUN, OTAVA

    if output is not None:
        check_outputs(output)
    database = database_of(history, out)
    if form == OTAVA:
        chosen = select(given, last=last, metric=None if metric == "all" else metric)
        text = _otava(database, chosen)
    elif any(value is not None for value in given.values()) or last is not None:
        raise SettingsError(f"--format {form} is of one run", hint="name the run instead")
    else:
        text = OF_ONE_RUN[form](entry_named(database, run))
    if output is not None:
        write_whole(output, text.encode())
    elif not put(text):
        raise click.exceptions.Exit(COULD_NOT_RUN)


def _otava(database: Database, chosen: Selection) -> str:
    from perfsuite.exchange.otava import otava_csv
    from perfsuite.history.store import load_series

    series = _newest(load_series(database, chosen))
    table = otava_csv(series)
    if not table.rows:
        raise HistoryError(
            f"no run of {database} has all of {len(series)} series",
            hint="choose with --tier, --metric, --hardware and --checkpoint",
        )
    if table.left_out:
        say(f"{table.left_out} runs lack one of the {len(series)} series and are left out")
    return table.text


def _newest(found: Sequence[Series]) -> list[Series]:
    """Of several series of one tier and metric that do not compare, the one that goes on."""
    from perfsuite.exchange.otava import column_name

    newest: dict[str, Series] = {}
    for series in (each for each in found if each.points):
        name = column_name(series)
        known = newest.get(name)
        if known is None or series.points[-1].at > known.points[-1].at:
            newest[name] = series
    dropped = len([each for each in found if each.points]) - len(newest)
    if dropped:
        say(f"{dropped} older series of other hardware or other work do not compare: left out")
    return list(newest.values())
