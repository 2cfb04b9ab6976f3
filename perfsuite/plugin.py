"""The pytest plugin: options, markers, fixtures, and the summary. Inactive unless `-m` names perf.

This is the edge: the only place, with the command line, that talks to pytest, to the terminal and
to the exit code. Nothing heavy is imported until a test that measures has been selected.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import pytest

from perfsuite.errors import PerfsuiteError
from perfsuite.libraries import import_libraries, quietly
from perfsuite.progress import Progress, ProgressLine
from perfsuite.settings import OPTIONS, Settings, resolve_settings
from perfsuite.workload import DEFAULT_WORKLOAD

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from perfsuite.ladder import BuiltTier, Tier
    from perfsuite.measure import Measurement, Sampler
    from perfsuite.results.verdict import Verdict
    from perfsuite.session.run import Run

_Judged = TypeVar("_Judged")

_SETTINGS = pytest.StashKey[Settings]()
_RUN = pytest.StashKey["Run"]()
_PROGRESS = pytest.StashKey[ProgressLine]()
_LAST_ERROR = pytest.StashKey[str]()
_TIER_FIXTURE = "tier"
_QUALITY_FIXTURES = frozenset({"quality_verdict", "exactness_verdict", "layers_verdict"})
_KINDS = {"latency": frozenset({"measurement"}), "quality": _QUALITY_FIXTURES}
"""Which fixtures make a test one of latency or of quality."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every row of the settings table becomes a `--perf-…` option."""
    group = parser.getgroup("perfsuite", "performance regressions of diffusion pipelines")
    for option in OPTIONS:
        flag, dest = f"--perf-{option.name}", _destination(option.name)
        if option.metavar is None:
            group.addoption(flag, dest=dest, action="store_true", default=None, help=option.help)
        elif option.bare is not None:
            group.addoption(
                flag,
                dest=dest,
                nargs="?",
                const=option.bare,
                metavar=option.metavar,
                help=option.help,
            )
        else:
            group.addoption(flag, dest=dest, metavar=option.metavar, help=option.help)


def pytest_configure(config: pytest.Config) -> None:
    """Register markers; check all options, whether they will be used or not."""
    config.addinivalue_line("markers", "perf: measures; runs only if -m names it")
    config.addinivalue_line("markers", "cuda: needs an accelerator; skipped without one")
    config.addinivalue_line("markers", "slow: takes minutes; runs only if -m names it")
    given = {each.name: config.getoption(_destination(each.name)) for each in OPTIONS}
    try:
        config.stash[_SETTINGS] = resolve_settings(given, config.rootpath)
    except PerfsuiteError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[_PROGRESS] = ProgressLine(_terminal(config), lambda: _finish_line(config))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test runs once for each tier that it is for, grouped by tier over all modules.

    With several workloads it runs once for each of them, too.
    """
    _once_for_each_tier(metafunc)
    workloads = metafunc.config.stash[_SETTINGS].workloads
    if len(workloads) > 1 and "perf_workload" in metafunc.fixturenames:
        # After the tiers, so that a test's id is `fp32-NAME`.
        names = [each.name or DEFAULT_WORKLOAD for each in workloads]
        metafunc.parametrize("perf_workload", names, indirect=True, scope="session")


def _once_for_each_tier(metafunc: pytest.Metafunc) -> None:
    asked = {_TIER_FIXTURE, "exactness_verdict", "layers_verdict"} & set(metafunc.fixturenames)
    if not asked:
        return
    selected = metafunc.config.stash[_SETTINGS].tiers
    with quietly():
        from perfsuite.ladder import changes_layers, find_tiers, has_exactness, tiers
    try:
        chosen = find_tiers(selected) if selected else tiers()
    except PerfsuiteError:
        # Raised here it would be a collection error of every module; prepare_run says it once.
        chosen = tiers()
    suits = {"exactness_verdict": has_exactness, "layers_verdict": changes_layers}
    for name in sorted(asked):
        rows = [row for row in chosen if name == _TIER_FIXTURE or suits[name](row)]
        ids = [row.name for row in rows]
        if name == _TIER_FIXTURE:
            metafunc.parametrize(name, rows, ids=ids, indirect=True, scope="session")
        else:
            metafunc.parametrize(name, rows, ids=ids, indirect=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what measures or takes minutes, unless `-m` names it; skip what needs a GPU."""
    expression = config.getoption("markexpr") or ""
    unnamed = [m for m in ("perf", "slow") if not re.search(rf"\b{m}\b", expression)]
    only = config.stash[_SETTINGS].only
    left_out = [
        item
        for item in items
        if any(item.get_closest_marker(m) for m in unnamed) or _is_of_another_kind(item, only)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    _skip_without_accelerator(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Check everything that can be checked before the first weight is loaded."""
    used = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if not used & {_TIER_FIXTURE, *_QUALITY_FIXTURES} or session.config.option.collectonly:
        return
    if session.config.getoption("benchmark_disable", False):
        raise pytest.UsageError("nothing is measured: leave out --benchmark-disable")
    if session.config.getoption("numprocesses", None):
        raise pytest.UsageError("tiers are measured one at a time: leave out -n")
    progress = session.config.stash[_PROGRESS]
    progress.begin("perfsuite")
    progress.update("importing torch and diffusers", 0, 1)
    import_libraries()
    from perfsuite.session.preflight import prepare_run

    try:
        session.config.stash[_RUN] = prepare_run(
            session.config.stash[_SETTINGS],
            session.config.rootpath,
            scores_images=bool(used & _QUALITY_FIXTURES),
            selected=_selected_tiers(session.items),
        )
    except PerfsuiteError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Mark the record as complete, unless the session was cut short."""
    session.config.stash[_PROGRESS].end()
    run = session.config.stash.get(_RUN, None)
    if run is not None:
        cut_short = exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
        try:
            run.finish(complete=not cut_short)
        except PerfsuiteError as error:
            session.config.stash[_LAST_ERROR] = str(error)
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table of results."""
    run = config.stash.get(_RUN, None)
    if run is None or not run.record.tiers:
        return
    from perfsuite.report.console import render_console
    from perfsuite.report.session import session_document

    writer = terminalreporter._tw
    terminalreporter.section("perfsuite")
    terminalreporter.write(
        render_console(
            session_document(run.record), width=writer.fullwidth, colour=writer.hasmarkup
        )
    )
    last_error = config.stash.get(_LAST_ERROR, None)
    if last_error:
        terminalreporter.write_line(f"ERROR: {last_error}", red=True)
    elif run.record_path:
        terminalreporter.write_line(f"run record: {_short(run.record_path, config)}")
    if run.record.baseline:
        terminalreporter.write_line(f"baseline:   {_short(run.record.baseline, config)}")


@pytest.fixture(scope="session")
def perf_workload(request: pytest.FixtureRequest) -> str | None:
    """Name of the workload that is measured; None where there is only one."""
    name: str | None = getattr(request, "param", None)
    return name


@pytest.fixture(scope="session")
def perf_run(pytestconfig: pytest.Config, perf_workload: str | None) -> Run:
    """The session under way, at one workload: settings, checkpoint, baselines and record."""
    return pytestconfig.stash[_RUN].at(perf_workload)


@pytest.fixture(scope="session")
def tier(request: pytest.FixtureRequest, perf_run: Run) -> Iterator[BuiltTier]:
    """A tier's pipeline, built once per session and freed before the next is built."""
    row = request.param
    perf_run.start_tier(row)
    with _working(request.config, perf_run, row):
        built = perf_run.build(row)
    perf_run.note_built(built)
    yield built
    built.close()


@pytest.fixture
def measurement(
    tier: BuiltTier, perf_run: Run, benchmark: BenchmarkFixture, pytestconfig: pytest.Config
) -> Measurement:
    """The tier's raw samples; pytest-benchmark runs the rounds and reports them too."""
    from perfsuite.measure import measure_tier

    def take_rounds(sampler: Sampler, rounds: int) -> None:
        if benchmark.stats is None:
            benchmark.pedantic(sampler.sample, setup=sampler.prepare, rounds=rounds)
            return
        for _ in range(rounds):  # a fixture runs `pedantic` once only; its statistics go on
            sampler.prepare()
            benchmark.stats.stats.update(sampler.sample())

    with _working(pytestconfig, perf_run, tier.tier) as progress, quietly():
        return measure_tier(
            tier,
            perf_run.plan,
            take_rounds=take_rounds,
            goal=perf_run.sampling_goal(tier.tier),
            progress=progress,
        )


@pytest.fixture
def latency_verdict(
    measurement: Measurement, perf_run: Run, benchmark: BenchmarkFixture
) -> Verdict:
    """The verdict on the tier's latency; it stands in the record and in pytest-benchmark's JSON."""
    import msgspec

    verdict = perf_run.judge_measurement(measurement)
    benchmark.extra_info["tier"] = measurement.tier
    benchmark.extra_info["verdict"] = msgspec.to_builtins(verdict)
    benchmark.extra_info["environment"] = msgspec.to_builtins(perf_run.environment)
    return verdict


@pytest.fixture
def quality_verdict(tier: BuiltTier, perf_run: Run, pytestconfig: pytest.Config) -> Verdict:
    """The verdict on the tier's images against the fp32 references."""
    with _working(pytestconfig, perf_run, tier.tier) as progress, quietly():
        return perf_run.judge_images(tier, progress)


@pytest.fixture
def exactness_verdict(
    request: pytest.FixtureRequest, perf_run: Run, pytestconfig: pytest.Config
) -> Verdict:
    """The verdict on what must not change numbers beyond rounding: exact changes, in fp32."""
    return _judged(request.param, perf_run, perf_run.judge_exactness, pytestconfig)


@pytest.fixture
def layers_verdict(
    request: pytest.FixtureRequest, perf_run: Run, pytestconfig: pytest.Config
) -> Verdict:
    """The verdict on a tier's quantised layers, one by one."""
    return _judged(request.param, perf_run, perf_run.judge_layers, pytestconfig)


@pytest.fixture
def enforce(pytestconfig: pytest.Config) -> Callable[[Any], None]:
    """Turn a verdict into pytest's terms.

    `regressed` fails. What is neither pass nor fail skips with its reason, or fails with
    `--perf-strict`; `no baseline` always skips.
    """
    from perfsuite.report.messages import describe
    from perfsuite.results.verdict import Outcome

    strict = pytestconfig.stash[_SETTINGS].strict

    def act(verdict: Verdict) -> None:
        __tracebackhide__ = True
        message = describe(verdict)
        undecided = (Outcome.INCONCLUSIVE, Outcome.INVALID)
        if verdict.outcome is Outcome.REGRESSED or (strict and verdict.outcome in undecided):
            pytest.fail(message, pytrace=False)
        if verdict.outcome in (*undecided, Outcome.NO_BASELINE):
            pytest.skip(message)

    return act


def _judged(row: Tier, run: Run, judge: Callable[..., _Judged], config: pytest.Config) -> _Judged:
    """Judge a tier that the check itself builds."""
    run.start_tier(row)
    with _working(config, run, row) as progress, quietly():
        return judge(row, progress)


@contextlib.contextmanager
def _working(config: pytest.Config, run: Run, tier: Tier) -> Iterator[Progress]:
    """Show progress on a tier; keep what stops it in the record, and let it go on to pytest."""
    line = config.stash[_PROGRESS]
    line.begin(tier.name)
    try:
        yield line.update
    except Exception as error:
        run.note_failure(tier, error)
        raise
    finally:
        line.end()


def _selected_tiers(items: list[pytest.Item]) -> frozenset[str]:
    """Names of the tiers that tests are left for."""
    from perfsuite.ladder import Tier

    specs = (getattr(item, "callspec", None) for item in items)
    rows = (row for spec in specs if spec for row in spec.params.values())
    return frozenset(row.name for row in rows if isinstance(row, Tier))


def _destination(name: str) -> str:
    return "perf_" + name.replace("-", "_")


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


def _is_of_another_kind(item: pytest.Item, only: str | None) -> bool:
    return only is not None and _KINDS[only].isdisjoint(getattr(item, "fixturenames", ()))


def _skip_without_accelerator(items: list[pytest.Item]) -> None:
    needing = [item for item in items if item.get_closest_marker("cuda")]
    if not needing:
        return
    import torch

    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="needs a CUDA device, this machine has none")
        for item in needing:
            item.add_marker(skip)


def _short(path: object, config: pytest.Config) -> str:
    return os.path.relpath(str(path), config.invocation_params.dir)
