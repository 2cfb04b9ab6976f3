"""A session that measures: registered as a plugin once such a test has been selected."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import pytest

from perfsuite.errors import PerfsuiteError
from perfsuite.libraries import import_libraries
from perfsuite.out_of_memory import is_out_of_memory, let_go
from perfsuite.plugin.selection import IMAGES, VERDICTS, own_fixtures, tiers_of, times
from perfsuite.plugin.tally import Ending, count
from perfsuite.progress import Progress, ProgressLine
from perfsuite.results.verdict import Metric, Outcome
from perfsuite.settings import Settings

if TYPE_CHECKING:
    from perfsuite.ladder import BuiltTier, Tier
    from perfsuite.plugin.timing import Timetable
    from perfsuite.session.run import Run


class MeasuringSession:
    """The run under way, its progress line, and how its tests have ended.

    Args:
        config: pytest's.
        items: the tests that measure.
        settings: what was asked for.
        root: folder that relative paths of settings, baselines and records start from.

    Raises:
        PerfsuiteError: something that can be checked beforehand is missing or does not fit.
    """

    def __init__(
        self, config: pytest.Config, items: Sequence[pytest.Item], settings: Settings, root: Path
    ) -> None:
        self._config = config
        self._root = root
        self._tested = {i.nodeid: Ending(bool(own_fixtures(i) & VERDICTS)) for i in items}
        self._was_cut_short = False
        self._last_error: str | None = None
        self._live: BuiltTier | None = None
        self._page: Path | None = None
        self._warnings: tuple[str, ...] = ()
        self._terminal = _terminal(config)
        self._line = ProgressLine(self._terminal, lambda: _finish_line(config))
        try:
            self.run = self._prepare(items, settings)
            self.timetable = self._new_timetable(items)
        except BaseException:
            self._close_terminal()
            raise

    def _prepare(self, items: Sequence[pytest.Item], settings: Settings) -> Run:
        self._line.begin("perfsuite")
        self._line.update("importing torch and diffusers", 0, 1)
        import_libraries()
        from perfsuite.ladder import find_tiers
        from perfsuite.session.preflight import prepare_run

        for mirror in settings.mirrors:
            self._line.update(f"fetching {mirror.url}", 0, 1)
            mirror.pull()
        if settings.tiers is not None:
            find_tiers(settings.tiers)  # a name that is unknown, though -k may leave it out
        given = map(os.fspath, self._config.invocation_params.args)
        return prepare_run(
            replace(settings, tiers=tiers_of(items) or settings.tiers),
            self._root,
            scores_images=any(own_fixtures(item) & IMAGES for item in items),
            needs_baseline=any(times(item) for item in items),
            command=shlex.join(["pytest", *given]),
        )

    def _new_timetable(self, items: Sequence[pytest.Item]) -> Timetable:
        from perfsuite.plugin.timing import Timetable

        return Timetable(self.run, items, self.run.settings.time_limit_s, self._tell)

    def _tell(self, line: str) -> None:
        """Print a line of its own between the tests' results."""
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            self._line.end()
            _finish_line(self._config)
            with _uncaptured(self._config):
                reporter.write_line(f"perfsuite: {line}")
                reporter.flush()

    @contextlib.contextmanager
    def working(self, tier: Tier) -> Iterator[Progress]:
        """Show progress on a tier; keep what stops it in the record, and let it go on to pytest."""
        self._line.begin(tier.name)
        try:
            yield self._line.update
        except BaseException as error:
            # A timeout, Ctrl-C and pytest.exit are no Exceptions: they cut the work short.
            self._was_cut_short |= not isinstance(error, Exception)
            self.run.note_failure(tier, error)
            if is_out_of_memory(error):
                let_go(error)  # pytest keeps the error: the next tier needs what its frames hold
            raise
        finally:
            self._line.end()

    def keep(self, built: BuiltTier) -> None:
        """Note the tier that is there for the tests that use it."""
        self._live = built

    def make_room(self) -> None:
        """Free the tier that is there, before tests that build theirs themselves."""
        if self._live is not None:
            self._live.close()
            self._live = None

    def note_verdict(self, nodeid: str, outcome: Outcome) -> None:
        """Count a verdict that a test was given."""
        self._tested.setdefault(nodeid, Ending(has_verdict=True)).outcomes.append(outcome)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note which tests run to their end: an interrupt does not come back here."""
        done = yield
        if item.nodeid in self._tested:
            self._tested[item.nodeid].ended = True
        return done

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave out what there is no time for; it is not passed, and red where all must be."""
        why = self.timetable.left_out(item)
        if why is None:
            self.timetable.begin(item)
            return
        from perfsuite.report.messages import describe

        part = self.timetable.part(item)
        metric = part.metric or Metric.LATENCY
        verdict = self.run.at(part.workload).leave_out(part.tier, metric, why)
        self.note_verdict(item.nodeid, verdict.outcome)
        if self.run.settings.strict:
            pytest.fail(describe(verdict), pytrace=False)
        pytest.skip(describe(verdict))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep why a test came to no verdict."""
        tested = self._tested.get(report.nodeid)
        if tested is None or report.passed or tested.stopped:
            return
        if report.skipped:
            tested.stopped = _reason(report)
        elif report.when == "setup" or tested.has_verdict:
            tested.stopped = "error"

    def pytest_report_collectionfinish(self) -> list[str]:
        """State the root and the plan, before the first measurement."""
        from perfsuite.session.subject import default_note

        note = default_note(self.run.settings, self.run.device)
        places = f"settings, baselines and records are those of {self._root}"
        said = (places, note, self.timetable.plan())
        return [f"perfsuite: {line}" for line in said if line]

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Close the record; a session that judged nothing does not end as if it had."""
        self._line.end()
        self._close_terminal()
        ended = all(tested.ended for tested in self._tested.values())
        try:
            self.run.finish(
                complete=ended and not self._was_cut_short, took_s=self.timetable.elapsed_s
            )
            self._publish()
            for mirror in self.run.settings.mirrors:
                mirror.push()
        except PerfsuiteError as error:
            self._last_error = str(error)
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
            return
        if exitstatus == pytest.ExitCode.OK and count(self._tested.values()).is_empty:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _publish(self) -> None:
        """Write the page and the Markdown; neither changes how the session ends."""
        record, settings, path = self.run.record, self.run.settings, self.run.record_path
        if not record.tiers or path is None:
            return
        from perfsuite.page.publish import publish_page, publish_session

        page = settings.report or path.with_suffix(".html")
        self._warnings = publish_page((path,), page, settings.history)
        self._page = None if self._warnings else page
        self._warnings += publish_session(record, settings.markdown)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table of results, where they are kept, and what was judged."""
        counts = count(self._tested.values())
        terminalreporter.section("perfsuite")
        if self.run.record.tiers:
            self._write_table(terminalreporter)
        if self.run.history_problem:
            terminalreporter.write_line(self._said_of_history(), yellow=True)
        for warning in self._warnings:
            terminalreporter.write_line(f"warning: {warning}", yellow=True)
        if self._last_error:
            terminalreporter.write_line(f"ERROR: {self._last_error}", red=True)
        if counts.is_empty:
            terminalreporter.write_line("ERROR: nothing was judged", red=True)
        terminalreporter.write_line(str(counts))

    def _write_table(self, terminalreporter: pytest.TerminalReporter) -> None:
        from perfsuite.report.console import render_console
        from perfsuite.report.session import session_document

        run, writer = self.run, terminalreporter._tw
        terminalreporter.write(
            render_console(
                session_document(run.record, f"{self._short(run.settings.out / 'runs')}/"),
                width=writer.fullwidth,
                colour=writer.hasmarkup,
            )
        )
        if run.record_path and not self._last_error:
            terminalreporter.write_line(f"run record: {self._short(run.record_path)}")
        if self._page:
            terminalreporter.write_line(f"page:       {self._short(self._page)}")
        if run.record.baseline:
            terminalreporter.write_line(f"baseline:   {run.record.baseline}")

    def _said_of_history(self) -> str:
        record = f"perfsuite import {self._short(self.run.record_path)} adds it later"
        return f"not in the history: {self.run.history_problem}; {record}"

    def _short(self, path: object) -> str:
        return os.path.relpath(str(path), self._config.invocation_params.dir)

    def _close_terminal(self) -> None:
        if self._terminal is not None:
            self._terminal.close()


def _reason(report: pytest.TestReport) -> str:
    """Why a test was skipped, in a few words."""
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else "expected to fail"
    return said.removeprefix("Skipped: ").splitlines()[0][:60]


def _terminal(config: pytest.Config) -> TextIO | None:
    """A stream to the real terminal, past pytest's capturing; None if there is none."""
    try:
        with _uncaptured(config):
            return os.fdopen(os.dup(sys.stderr.fileno()), "w")
    except (OSError, ValueError, AttributeError):
        return None


def _uncaptured(config: pytest.Config) -> contextlib.AbstractContextManager[None]:
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        return contextlib.nullcontext()
    disabled: contextlib.AbstractContextManager[None] = capture.global_and_fixture_disabled()
    return disabled


def _finish_line(config: pytest.Config) -> None:
    """End the line that pytest's reporter has begun; it must not go into captured output."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        with _uncaptured(config):
            reporter.ensure_newline()
            reporter.flush()
