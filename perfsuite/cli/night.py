"""The commands of a night: `confirm` measures once more what regressed, `issue` tells people."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from perfsuite.cli.common import ended_like_ctrl_c, publish_page_of, say
from perfsuite.cli.report import newest_session, record_files
from perfsuite.errors import GateError, OutputError

if TYPE_CHECKING:
    from perfsuite.report.table import Document
    from perfsuite.results.night import Night, Regression
    from perfsuite.results.session import RunRecord

NOT_SETTLED = 3
_LEFT_OUT = ("--perf-markdown", "--perf-report", "--perf-update", "--perf-tiers")
"""Options of the first run that the second must not repeat."""


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--record", "path", type=click.Path(path_type=Path), help="Session (the newest).")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def confirm(path: Path | None, pytest_arguments: tuple[str, ...]) -> None:
    """Measure once more, in a fresh process, what regressed in a session.

    pytest is called as it was for that session, for the tiers that regressed; what is given after
    the options goes to it instead. A regression counts if both runs find it.

    Ends with exit code 0 if nothing regressed twice, 1 if something did, 2 on wrong usage, 3 if the
    second run does not settle it, 4 if it could not run.
    """
    from perfsuite.judge.night import regressions
    from perfsuite.report.night import regression_line
    from perfsuite.results.night import Confirmation
    from perfsuite.results.session import load_record

    first_path = path or newest_session(None)
    first = load_record(first_path)
    tiers = dict.fromkeys(_tier_of(first, each) for each in regressions(first))
    if not tiers:
        click.echo("nothing regressed: there is nothing to confirm")
        return
    with ended_like_ctrl_c():
        second = _measure_again(first, first_path, tuple(tiers), pytest_arguments)
    found = list(regressions(first, second))
    for each in found:
        click.echo(regression_line(each))
    said = {each.confirmation for each in found}
    if Confirmation.CONFIRMED in said:
        raise SystemExit(1)
    if said - {Confirmation.REFUTED}:
        raise SystemExit(NOT_SETTLED)


def _tier_of(record: RunRecord, regression: Regression) -> str:
    return next(each.tier for each in record.tiers if each.label == regression.label)


def _measure_again(
    first: RunRecord, path: Path, tiers: Sequence[str], pytest_arguments: Sequence[str]
) -> RunRecord:
    """The record of a second run, which says what it confirms."""
    from perfsuite.results.session import load_record, save_record

    arguments = list(pytest_arguments) or _repeated(first.command)
    folder = path.resolve().parent
    known = _records(folder)
    command = [sys.executable, "-m", "pytest", *arguments, f"--perf-tiers={','.join(tiers)}"]
    say(f"once more: {shlex.join(['pytest', *command[3:]])}")
    done = subprocess.run(command, check=False)
    made = sorted(_records(folder) - known)
    if len(made) != 1:
        raise GateError(
            f"the second run left {len(made)} records in {folder} (pytest ended with "
            f"{done.returncode})",
            hint="its output says why",
        )
    second = replace(load_record(made[0]), confirms=first.run_id)
    save_record(second, folder.parent)
    publish_page_of(made[0])
    return second


def _repeated(command: str | None) -> list[str]:
    """Pytest's arguments of a session, without what only the first run was to do."""
    if command is None:
        raise OutputError(
            "this record does not tell how pytest was called",
            hint="say it: perfsuite confirm -m perf tests/perf",
        )
    words, kept = shlex.split(command)[1:], []
    skip = False
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if skip:
            skip = False
            continue
        if word.partition("=")[0] in _LEFT_OUT:
            skip = "=" not in word and not after.startswith("-") and _takes_value(word, after)
            continue
        kept.append(word)
    return kept


def _takes_value(word: str, after: str) -> bool:
    return word != "--perf-update" or after in ("replace", "add")


def _records(folder: Path) -> set[Path]:
    return {each for each in folder.glob("*.json") if each.name != "latest.json"}


@click.command()
@click.argument("records", nargs=-1, required=True, metavar="RECORD...")
@click.option("--label", default="nightly-regression", show_default=True, help="Of the issue.")
@click.option("--link", default="", metavar="URL", help="Where records and pages can be had.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
def issue(records: tuple[str, ...], label: str, link: str, dry_run: bool) -> None:
    """Open, update or close the night's issue, with GitHub's gh.

    RECORD is a session's record, or a folder of them; the runs of `perfsuite confirm` belong to
    them. An issue is opened, or added to, for what regressed in two processes. A night in which
    everything was judged and nothing is worse closes it. Any other night leaves it as it is.

    Ends with exit code 0 if that was done, 2 on wrong usage, 4 if gh could not do it.
    """
    from perfsuite.judge.night import judge_night
    from perfsuite.page.records import read_sources
    from perfsuite.report.night import green_document, night_document, night_title
    from perfsuite.results.session import RunRecord

    sources, findings = read_sources(record_files(tuple(map(Path, records))))
    for finding in findings:
        say(f"{finding.subject}: {finding.message}")
    sessions = [each.record for each in sources if isinstance(each.record, RunRecord)]
    if not sessions:
        raise OutputError("there is no session among the records", hint="name files under runs/")
    night = judge_night(sessions)
    gh = _GitHub(label, dry_run)
    if night.confirmed:
        gh.report(night_title(night), night_document(night, sessions, link))
    elif night.is_green and not findings:
        gh.close(green_document(night, link))
    else:
        click.echo(f"nothing confirmed, and not green: the issue stays as it is ({_why(night)})")


def _why(night: Night) -> str:
    parts = [f"{name} {outcome.value}" for name, outcome in night.unsettled]
    parts += [f"{run_id} cut short" for run_id in night.incomplete]
    parts += [f"{each.label} {each.confirmation.value}" for each in night.regressions]
    return "; ".join(parts[:5]) or "records could not be read, or judged nothing"


class _GitHub:
    """The one open issue with a label.

    Args:
        label: of the issue.
        dry_run: whether commands that change something are only printed.
    """

    def __init__(self, label: str, dry_run: bool) -> None:
        self._label = label
        self._dry_run = dry_run

    def report(self, title: str, document: Document) -> None:
        """Open the issue, or add to it what tonight says."""
        known = self._known()
        with tempfile.TemporaryDirectory() as folder:
            body = _written(document, Path(folder))
            if known:
                self._change("issue", "edit", known, "--title", title)
                self._change("issue", "comment", known, "--body-file", body)
                click.echo(f"issue {known}: {title}")
                return
            about = "The nightly run found a regression"
            self._change("label", "create", self._label, "--description", about, "--force")
            self._change(
                *("issue", "create", "--title", title),
                *("--label", self._label, "--body-file", body),
            )
            click.echo(f"opened: {title}")

    def close(self, document: Document) -> None:
        """Close the issue, if one is open."""
        known = self._known()
        if not known:
            click.echo("a green night, and no issue is open")
            return
        with tempfile.TemporaryDirectory() as folder:
            self._change("issue", "comment", known, "--body-file", _written(document, Path(folder)))
            self._change("issue", "close", known)
        click.echo(f"closed: {known}")

    def _known(self) -> str:
        number = '.[0].number // ""'
        listed = ("issue", "list", "--label", self._label, "--state", "open")
        return self._run(*listed, "--json", "number", "--jq", number).strip()

    def _change(self, *words: str) -> None:
        if self._dry_run:
            click.echo(shlex.join(["gh", *words]))
            if "--body-file" in words:
                click.echo(Path(words[words.index("--body-file") + 1]).read_text(encoding="utf-8"))
            return
        self._run(*words)

    def _run(self, *words: str) -> str:
        try:
            done = subprocess.run(["gh", *words], capture_output=True, text=True, check=False)
        except OSError as error:
            raise GateError(f"gh cannot be run ({error.strerror})", hint="install it") from None
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise GateError(f"gh {words[0]} {words[1]}: {said}", hint="gh auth status tells more")
        return done.stdout


def _written(document: Document, folder: Path) -> str:
    from perfsuite.report.markdown import MOST_BYTES, render_markdown

    path = folder / "body.md"
    text = render_markdown(document, limit=MOST_BYTES)
    path.write_text(text, encoding="utf-8", errors="replace")
    return str(path)
