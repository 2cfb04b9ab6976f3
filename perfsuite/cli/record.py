"""The command `record`: a baseline from several runs, all of them or none.

Runs are made with a scratch folder of baselines. What stands there at the end takes the place of
what is committed, at once, and only if every run was valid. This module is a plugin of pytest's,
too: it tells beforehand which folders would be used, and afterwards which record was written.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from perfsuite.children import run_child
from perfsuite.cli.common import ended_like_ctrl_c, send
from perfsuite.errors import BaselineError, PerfsuiteError, SettingsError
from perfsuite.mirror import Mirror
from perfsuite.options import NO_HISTORY, OPTIONS
from perfsuite.settings import find_root, resolve_settings
from perfsuite.storage import check_writable, locked, scratch_folder, write_whole

if TYPE_CHECKING:
    import pytest

    from perfsuite.results.session import RunRecord

_FOLDERS = "PERFSUITE_RECORD_FOLDERS"
"""Environment variable with the file that pytest's folders are written to, by a session of no
tests."""
_MADE = "PERFSUITE_RECORD_MADE"
"""Environment variable with the file that the path of a session's record is written to."""
_ALL_IN_ONE = "--perf-only=latency"
_NO_RUN_IS_KEPT = "no run is kept, the baseline is as it was"


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1, 100))
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def record(runs: int, pytest_arguments: tuple[str, ...]) -> None:
    """Record a baseline from several runs, each in a fresh process.

    They replace what is there together, once all of them are valid. What is given after the options
    goes to pytest, for instance --perf-tiers fp32,bf16.

    Ends with exit code 0 if the baseline was recorded, 1 if a run was invalid or failed, 2 on wrong
    usage, 130 on Ctrl-C; nothing is replaced then.
    """
    folders = _asked_of_pytest(pytest_arguments)
    for mirror in folders.mirrors:
        mirror.pull()
        click.get_current_context().call_on_close(partial(send, mirror))
    for folder in (folders.baselines, folders.out):
        check_writable(folder, 0)
    with ended_like_ctrl_c(), _scratch(folders) as scratch:
        for number in range(1, runs + 1):
            click.secho(f"run {number} of {runs}", bold=True)
            spoilt = scratch.measure(number, pytest_arguments)
            if spoilt:
                click.echo(f"run {number} of {runs} {spoilt}: {_NO_RUN_IS_KEPT}", err=True)
                raise SystemExit(1)
        for path in scratch.replace():
            click.echo(f"recorded: {path}, {runs} runs")


@dataclass(frozen=True)
class Folders:
    """What pytest would use.

    Attributes:
        baselines: folder of committed baselines.
        out: folder of run records.
        mirrors: those of them that are copies of URLs.
        history: database of all runs; None to keep none.
    """

    baselines: Path
    out: Path
    mirrors: tuple[Mirror, ...] = ()
    history: str | None = None


@dataclass(frozen=True)
class Scratch:
    """Where runs are made until all are known to be valid.

    Attributes:
        folders: what takes over from it.
        baselines: a copy of the committed baselines, to which runs are added.
        before: contents of the committed files when the copy was made.
    """

    folders: Folders
    baselines: Path
    before: dict[Path, bytes]

    def measure(self, number: int, pytest_arguments: tuple[str, ...]) -> str:
        """Make one run; what is wrong with it, or nothing."""
        how = "replace" if number == 1 else "add"
        made = self.baselines.with_name("made")
        made.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-p", __name__, "-m", "perf", _ALL_IN_ONE, "-q"]
        own = [f"--perf-update={how}", f"--perf-baselines={self.baselines}"]
        own.append(f"--perf-out={self.folders.out}")  # here, also where a URL is meant
        own.append(f"--perf-history={self.folders.history or NO_HISTORY}")
        done = run_child(
            [*command, *pytest_arguments, *own], env=os.environ | {_MADE: str(made)}, check=False
        )
        why = _what_is_wrong(Path(made.read_text(encoding="utf-8"))) if made.is_file() else ""
        if done.returncode != 0:
            return why or f"ended with pytest's exit code {done.returncode}"
        return why if made.is_file() else "measured nothing"

    def replace(self) -> list[Path]:
        """Put what was recorded in its place; the files.

        Raises:
            BaselineError: somebody else has changed one of them meanwhile.
        """
        after = _contents(self.baselines)
        changed = [path for path in after if after[path] != self.before.get(path)]
        with ExitStack() as held:
            for path in changed:
                held.enter_context(locked(self.folders.baselines / path))
            now = _contents(self.folders.baselines)
            for path in changed:
                if now.get(path) != self.before.get(path):
                    problem = f"{self.folders.baselines / path} has changed meanwhile"
                    raise BaselineError(problem, hint=f"record again: {_NO_RUN_IS_KEPT}")
            for path in changed:
                write_whole(self.folders.baselines / path, after[path])
        return [self.folders.baselines / path for path in changed]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Tell which record this session has written."""
    from perfsuite.plugin.fixtures import SESSION

    told, session = os.environ.get(_MADE), config.stash.get(SESSION, None)
    if told is not None and session is not None and session.run.record_path is not None:
        Path(told).write_text(str(session.run.record_path), encoding="utf-8")


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Check the options, tell the folders that this session would use, and end it."""
    told = os.environ.get(_FOLDERS)
    if told is None:
        return None
    given = {each.name: config.getoption(f"perf_{each.name.replace('-', '_')}") for each in OPTIONS}
    try:
        settings = resolve_settings(given, find_root(config.rootpath))
    except PerfsuiteError as error:
        import pytest

        raise pytest.UsageError(str(error)) from None
    folders = Folders(settings.baselines, settings.out, settings.mirrors, settings.history)
    Path(told).write_bytes(msgspec.json.encode(folders, enc_hook=str))
    return 0


def _asked_of_pytest(pytest_arguments: tuple[str, ...]) -> Folders:
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "folders.json")
        command = [sys.executable, "-m", "pytest", "-p", __name__, *pytest_arguments]
        variables = os.environ | {_FOLDERS: str(told)}
        done = run_child(command, env=variables, capture_output=True, text=True, check=False)
        if not told.is_file():
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
            said = errors[-1].removeprefix("ERROR: ") if errors else "python -m pytest says why"
            raise SettingsError("pytest does not start", hint=said)
        return msgspec.json.decode(told.read_bytes(), type=Folders, dec_hook=_as_path)


def _as_path(kind: type, value: Any) -> Any:
    return Path(value)


@contextmanager
def _scratch(folders: Folders) -> Iterator[Scratch]:
    folders.out.mkdir(parents=True, exist_ok=True)
    with scratch_folder("recording-", folders.out) as scratch:
        baselines = scratch / folders.baselines.name  # as reports will name it
        before = _contents(folders.baselines)
        for path, content in before.items():
            write_whole(baselines / path, content)
        yield Scratch(folders, baselines, before)


def _contents(folder: Path) -> dict[Path, bytes]:
    """All JSON files below a folder but those of references, which no run of latency touches."""
    paths = (path for path in folder.rglob("*.json") if "references" not in path.parts)
    return {path.relative_to(folder): path.read_bytes() for path in paths}


def _what_is_wrong(made: Path) -> str:
    """Why a run may not be kept, from its record."""
    from perfsuite.results.session import load_record

    return _spoilt(load_record(made))


def _spoilt(run: RunRecord) -> str:
    from perfsuite.report.messages import say_all
    from perfsuite.results.verdict import Metric, Outcome

    for tier in run.tiers:
        if tier.error:
            return f"failed in {tier.tier} ({tier.error})"
        latency = tier.verdict(Metric.LATENCY)
        if latency is None:
            return f"did not measure {tier.label}"
        if latency.outcome is not Outcome.RECORDED:
            return f"is {latency.outcome.value} in {tier.label} ({say_all(latency.reasons)})"
    return "" if run.complete and run.tiers else "was cut short"
