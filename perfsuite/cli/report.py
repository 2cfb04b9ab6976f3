"""The command `report`: the page of some records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from perfsuite.cli.common import say
from perfsuite.errors import OutputError
from perfsuite.settings import find_root, resolve_settings
from perfsuite.storage import check_outputs

_LATEST = "latest.json"
_HINT = "name records: files under .perfsuite/runs, gates or bisections, or folders of them"


@click.command()
@click.argument("records", nargs=-1, metavar="[RECORD]...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    default="report.html",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the page.",
)
@click.option("--out", help="Folder that the newest session is taken from (.perfsuite).")
@click.option("--history", metavar="PLACE", help="Database of all runs, a file or a URL.")
def report(records: tuple[Path, ...], output: Path, out: str | None, history: str | None) -> None:
    """Write the page of sessions, gates and bisections: one HTML file, for a browser.

    RECORD is a file that perfsuite wrote, or a folder of them; without any, the newest session. Of
    sessions that measured the same, the newest is shown in full; its trends are of all of them, and
    of the history.
    What cannot be read is named on the page, and the rest is shown.

    Ends with exit code 0 if anything is shown, 2 if nothing is.
    """
    check_outputs(output)
    paths = tuple(record_files(records)) if records else (newest_session(out),)
    from perfsuite.page.render import write_page

    settings = resolve_settings({"out": out, "history": history}, find_root(Path.cwd()), flag="--")
    page = write_page(paths, output, settings.history)
    for finding in page.findings:
        say(f"{finding.subject}: {finding.message}")
    if not page.shown:
        raise OutputError("none of the records can be shown", hint=_HINT)
    click.echo(str(output))


def record_files(records: tuple[Path, ...]) -> Iterator[Path]:
    """Records, and all records below folders.

    Raises:
        OutputError: a folder holds none.
    """
    for path in records:
        if not path.is_dir():
            yield path
            continue
        found = sorted(each for each in path.rglob("*.json") if each.name != _LATEST)
        if not found:
            raise OutputError(f"{path} holds no records", hint=_HINT)
        yield from found


def newest_session(out: str | None) -> Path:
    """The record of the newest session.

    Args:
        out: folder of records, as `--out` has it; None for the project's own.

    Raises:
        OutputError: there is none.
    """
    settings = resolve_settings({"out": out}, find_root(Path.cwd()), flag="--")
    runs = settings.out / "runs"
    found = sorted(each for each in runs.glob("*.json") if each.name != _LATEST)
    if not found:
        raise OutputError(f"{runs} holds no session yet", hint=_HINT)
    return found[-1]
