"""What the commands share: a session from options, the door's exit codes, and where output goes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from perfsuite.conftests import load_conftests
from perfsuite.errors import OutputError
from perfsuite.libraries import import_libraries
from perfsuite.options import HISTORY_VARIABLE
from perfsuite.page.publish import publish_markdown, publish_page
from perfsuite.progress import ProgressLine
from perfsuite.settings import find_root, resolve_settings

COULD_NOT_RUN = 4
INTERRUPTED = 130
NOBODY_READS = 141
"""As a shell reports a program that SIGPIPE has ended."""

if TYPE_CHECKING:
    from perfsuite.mirror import Mirror
    from perfsuite.report.table import Document
    from perfsuite.results.history import Entry
    from perfsuite.session.run import Run
    from perfsuite.settings import Settings


def prepare(given: Mapping[str, Any], *, scores_images: bool = True, **preparing: Any) -> Run:
    """A session for a command, from its options, `[tool.perfsuite]` and the project's conftests.

    With several workloads it is the first one's run; `siblings` are all of them.

    Args:
        given: values by option; None where not given.
        scores_images: whether references are needed.
        **preparing: what else `prepare_run` takes.
    """
    root, settings = settings_of(given)
    import_libraries()
    load_conftests()
    from perfsuite.session.preflight import prepare_run

    return prepare_run(settings, root, scores_images=scores_images, **preparing)


def settings_of(
    given: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> tuple[Path, Settings]:
    """The project's folder and what a command was asked for.

    Folders that lie behind a URL are fetched, and what the command changes is sent when it ends.

    Args:
        given: values by option; None where not given.
        defaults: by option, where the command's are not those of the table.

    Raises:
        SettingsError: a value cannot be used.
        OutputError: a URL cannot be reached.
    """
    root = find_root(Path.cwd())
    settings = resolve_settings(given, root, defaults, flag="--")
    for mirror in settings.mirrors:
        mirror.pull()
        click.get_current_context().call_on_close(partial(send, mirror))
    return root, settings


def send(mirror: Mirror) -> None:
    """Send what a command has changed; a verdict that it has come to stands, whether or not."""
    ending = sys.exc_info()[1]
    try:
        mirror.push()
    except OutputError as error:
        say(f"ERROR: {error}")
        if ending is None or (isinstance(ending, SystemExit) and not ending.code):
            raise SystemExit(COULD_NOT_RUN) from None


def history_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option that names the history's database, as pytest has it with `--perf-` before."""
    about = f"Database of all runs: a file, a URL, or off (${HISTORY_VARIABLE})."
    return click.option("--history", default=None, metavar="URL", help=about)(command)


def keep_in_history(entry: Entry, place: str | None) -> None:
    """Append a run; what goes wrong is a warning: the verdict stands."""
    from perfsuite.history.keep import keep

    problem = keep(entry, place)
    if problem is not None:
        say(f"warning: not in the history: {problem}")


def workload_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that choose a workload, as pytest has them with `--perf-` before."""
    for name, metavar, about in reversed(_WORKLOAD_OPTIONS):
        command = click.option(f"--{name}", default=None, metavar=metavar, help=about)(command)
    return command


def gate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of all commands that hold two arms against each other."""
    for option in reversed(_GATE_OPTIONS):
        command = option(command)
    return command


_GATE_OPTIONS = (
    click.option("--checkpoint", show_default="pocket"),
    click.option("--tolerance", help="Slowdown that nobody minds (0.05)."),
    click.option("--device", show_default="auto"),
    click.option("--threads", help="CPU threads of each arm (1 on a CPU)."),
    click.option("--baselines", show_default="baselines", help="Folder of references."),
    click.option(
        "--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write it here."
    ),
)
_WORKLOAD_OPTIONS = (
    ("workload", "NAME", "A [tool.perfsuite.workloads.NAME] table."),
    ("steps", "N", "Denoising steps."),
    ("guidance", "G", "Classifier-free guidance."),
    ("size", "WxH", "Pixels, e.g. 1024x768."),
    ("batch", "N", "Images per call that is timed."),
    ("prompt", "TEXT", "Prompt that is timed."),
)


def registered_here() -> dict[str, Path]:
    """Load the project's conftests; the names of tiers and checkpoints that they have added.

    Returns:
        By name, the folder whose conftests they are from.
    """
    from perfsuite.checkpoints import checkpoint_names
    from perfsuite.ladder import tiers

    def known() -> set[str]:
        return {*checkpoint_names(), *(tier.name for tier in tiers())}

    before, folder = known(), Path.cwd()
    load_conftests()
    return dict.fromkeys(known() - before, folder)


@contextmanager
def progress_line() -> Iterator[ProgressLine]:
    """A progress line on standard error, taken away at the end."""
    line = ProgressLine(sys.stderr)
    try:
        yield line
    finally:
        line.end()


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """A CI system that cancels a job sends SIGTERM, which would leave the workers behind."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def show(document: Document) -> bool:
    """Print a report to standard output; it stands, whether it can be read there or not.

    Returns:
        Whether it could be written; a pipe that nobody reads any more does not count as a fault.
    """
    from perfsuite.report.console import render_console

    width = min(shutil.get_terminal_size().columns, 100)
    return put(render_console(document, width=width, colour=sys.stdout.isatty()))


def put(text: str) -> bool:
    """Write a finished report to standard output; what cannot be written is a warning."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        click.echo(text.encode(encoding, "replace").decode(encoding), nl=False)
    except OSError as error:
        turn_away(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            say(f"warning: the report cannot be printed ({error.strerror})")
            return False
    return True


def say(line: str) -> None:
    """Print one line to standard error, read or not."""
    try:
        click.echo(line, err=True)
    except OSError:
        turn_away(sys.stderr)


def typed() -> str:
    """The command line of this process, for the record: what repeats it."""
    return shlex.join(["perfsuite", *sys.argv[1:]])


def turn_away(stream: TextIO) -> None:
    """Lead a stream that nobody reads nowhere, so that no later write to it fails either."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def check_markdown(path: Path | None) -> None:
    """See that a file can be written before anything is started that takes time.

    Raises:
        OutputError: it cannot.
    """
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        why = f"{path.parent} is a file" if path.parent.is_file() else error.strerror
        problem = f"{path} cannot be written ({why})"
        raise OutputError(problem, hint="name another file with --markdown") from None


def publish(document: Document, markdown: Path | None) -> None:
    """Write Markdown to the file that was asked for, and to the summary of a CI system's job.

    What cannot be written is a warning: the verdict stands.
    """
    from perfsuite.report.markdown import MOST_BYTES, render_markdown

    for warning in publish_markdown(render_markdown(document, limit=MOST_BYTES), markdown):
        say(f"warning: {warning}")


def publish_page_of(record: Path) -> None:
    """Write the page of a record beside it; what goes wrong is a warning."""
    page = record.with_suffix(".html")
    warnings = publish_page((record,), page)
    for warning in warnings:
        say(f"warning: {warning}")
    if not warnings:
        say(f"page:   {page}")


def in_own_words(text: str, command: click.Command | None) -> str:
    """A message in which pytest's `--perf-out` is the command's own option or argument, if any."""
    params = command.params if command else []
    known = {name for each in params for name in each.opts}

    def own(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return found[0]  # somebody's own words, or what another command takes
        if name in known:
            return name.upper()
        if name == "update":
            return "perfsuite record"
        return f"--{name}" if f"--{name}" in known else found[0]

    return re.sub(rf"(?<!\w){_QUOTED}|{_RECORDING}|--perf-([a-z]+(?:-[a-z]+)*)", own, text)


_QUOTED = r"'[^']*'"
_RECORDING = rf"perfsuite record(?: --[\w-]+(?: (?:[\w./]+|{_QUOTED}))?)*"
