"""The pytest plugin: options, the marker `perf`, fixtures, and which tests run.

This is the edge: the only place, with the command line, that talks to pytest, to the terminal and
to the exit code. A session that measures nothing imports nothing heavy and is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from perfsuite.errors import PerfsuiteError
from perfsuite.libraries import quietly
from perfsuite.options import OPTIONS, Option
from perfsuite.plugin import words
from perfsuite.plugin.fixtures import (
    SESSION,
    SETTINGS,
    perf_enforce,
    perf_exactness_verdict,
    perf_latency_verdict,
    perf_layers_verdict,
    perf_measurement,
    perf_quality_verdict,
    perf_run,
    perf_structure_verdict,
    perf_tier,
    perf_workload,
)
from perfsuite.plugin.neighbours import DISTRIBUTED, is_distributed, refuse_what_spoils
from perfsuite.plugin.selection import (
    NO_TIER,
    PER_TIER,
    TIER,
    TIMING,
    WORKLOAD,
    could_select,
    in_order,
    is_of_another_kind,
    is_own,
    measures,
    names_perf,
    own_fixtures,
    runs_the_workload,
    suiting,
    suits,
    tier_of,
)
from perfsuite.settings import Settings, check_given, find_root, resolve_settings
from perfsuite.workload import DEFAULT_WORKLOAD

__all__ = [
    "perf_enforce",
    "perf_exactness_verdict",
    "perf_latency_verdict",
    "perf_layers_verdict",
    "perf_measurement",
    "perf_quality_verdict",
    "perf_run",
    "perf_structure_verdict",
    "perf_tier",
    "perf_workload",
]

_COLLECTED = pytest.StashKey[dict[pytest.Item, int]]()
_RUNS_AGAIN = pytest.StashKey[bool]()
_REFUSAL = "perfsuite_refusal"
"""Key of a worker's output under which it says that it must not measure."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every row of the settings table becomes a `--perf-…` option."""
    group = parser.getgroup("perfsuite", "performance regressions of diffusion pipelines")
    for option in OPTIONS:
        flag, dest = f"--perf-{option.name}", _destination(option)
        if option.metavar is None:
            group.addoption(flag, dest=dest, action="store_true", default=None, help=option.help)
            take_back = f"--no-perf-{option.name}"
            about = f"take --perf-{option.name} back"
            group.addoption(take_back, dest=dest, action="store_false", default=None, help=about)
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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    """Load no conftest where the command line is to be read again."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    given, folder = words.command_line(early_config), early_config.invocation_params.dir
    if not is_worker and words.mistaken_for_paths(given, folder):
        early_config.stash[_RUNS_AGAIN] = True
        args[:] = ["--noconftest", str(folder)]
        early_config.known_args_namespace = parser.parse_known_args(args)
    yield


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Read a command line again whose values pytest has taken for paths of tests."""
    return words.run_again(config) if config.stash.get(_RUNS_AGAIN, False) else None


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; check the options that were given, whether they will be used or not."""
    config.addinivalue_line("markers", "perf: measures; runs only if -m names it")
    about = "set by perfsuite on its tests that sample latency or make images"
    config.addinivalue_line("markers", f"{TIMING}: {about}")
    config.stash[_COLLECTED] = {}
    try:
        check_given(_given(config))
    except PerfsuiteError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_itemcollected(item: pytest.Item) -> None:
    """What uses a fixture of perfsuite's measures, and so carries the marker."""
    if is_own(item):
        collected = item.config.stash[_COLLECTED]
        collected[item] = len(collected)
        if item.get_closest_marker("perf") is None:
            item.add_marker("perf")
        if runs_the_workload(item):
            item.add_marker(TIMING)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test runs once for each tier that it is for; its parameter is the tier's name."""
    config, fixtures = metafunc.config, own_fixtures(metafunc.definition)
    if not fixtures or not names_perf(config) or not could_select(config, metafunc.definition):
        return  # it will not run, and finding the tiers would import torch
    marks = metafunc.definition.iter_markers("parametrize")
    by_hand = {name.strip() for mark in marks for name in _names(mark.args[0])}
    for name in PER_TIER:
        if name in fixtures - by_hand:
            chosen = _tiers_for(config, {name}) or (NO_TIER,)
            metafunc.parametrize(
                name,
                chosen,
                ids=chosen,
                indirect=True,
                scope="session" if name == TIER else None,
            )
    workloads = _workloads(config)
    if len(workloads) > 1 and WORKLOAD in fixtures - by_hand:
        # After the tiers, so that a test's id is `fp32-NAME`.
        metafunc.parametrize(WORKLOAD, workloads, indirect=True, scope="session")


def _names(argument: str | tuple[str, ...] | list[str]) -> list[str]:
    return argument.split(",") if isinstance(argument, str) else list(argument)


def _workloads(config: pytest.Config) -> tuple[str, ...]:
    try:
        return tuple(each.name or DEFAULT_WORKLOAD for each in _settings(config).workloads)
    except PerfsuiteError:
        return ()  # said once, if a test that measures is selected


def _tiers_for(config: pytest.Config, fixtures: set[str]) -> tuple[str, ...]:
    try:
        names = _settings(config).tiers
    except PerfsuiteError:
        return ()  # said once, if a test that measures is selected
    with quietly():
        from perfsuite.ladder import expand
    return suiting(expand(names), fixtures)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Leave out what is not asked for, and restore the order, after all others had their say."""
    yield
    collected = config.stash[_COLLECTED]
    own = [item for item in items if item in collected]
    if not own:
        return
    if not names_perf(config):
        _deselect(config, items, own)
        return
    with quietly():
        _leave_out(config, items, own)
        items[:] = in_order(items, collected)
    _skip_without_accelerator([item for item in items if item in collected])
    if is_distributed(config) and any(measures(item) for item in items):
        config.workeroutput[_REFUSAL] = DISTRIBUTED  # type: ignore[attr-defined]
        items.clear()


def _leave_out(config: pytest.Config, items: list[pytest.Item], own: list[pytest.Item]) -> None:
    """Take out tests that are for none of the chosen tiers, or not of the kind asked for."""
    try:
        only = _settings(config).only
    except PerfsuiteError:
        return  # said once, if a test that measures is selected
    unfit = {item for item in own if tier_of(item) == NO_TIER or not suits(item)}
    items[:] = [item for item in items if item not in unfit]
    _deselect(config, items, [i for i in own if i not in unfit and is_of_another_kind(i, only)])


def _deselect(config: pytest.Config, items: list[pytest.Item], left_out: list[pytest.Item]) -> None:
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


@pytest.hookimpl(tryfirst=True)  # before pytest's reporter asks for lines to print
def pytest_collection_finish(session: pytest.Session) -> None:
    """Check everything that can be checked before the first weight is loaded."""
    config = session.config
    measuring = [item for item in session.items if measures(item)]
    if not measuring or config.option.collectonly or config.getoption("setupplan", False):
        return
    refuse_what_spoils(config, measuring)
    from perfsuite.plugin.session import MeasuringSession

    root = find_root(config.rootpath)
    try:
        started = MeasuringSession(config, measuring, _settings(config), root)
    except PerfsuiteError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[SESSION] = started
    config.pluginmanager.register(started, "perfsuite-session")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Stop a session of pytest-xdist whose workers were to measure."""
    refusal = getattr(node, "workeroutput", {}).get(_REFUSAL)
    if refusal:
        raise pytest.UsageError(refusal)


def _settings(config: pytest.Config) -> Settings:
    """What was asked for; read when it is first needed.

    Raises:
        SettingsError: an option or a key of pyproject.toml cannot be used.
    """
    known = config.stash.get(SETTINGS, None)
    if known is None:
        known = resolve_settings(_given(config), find_root(config.rootpath))
        config.stash[SETTINGS] = known
    return known


def _given(config: pytest.Config) -> dict[str, object]:
    return {each.name: config.getoption(_destination(each)) for each in OPTIONS}


def _destination(option: Option) -> str:
    return "perf_" + option.name.replace("-", "_")


def _skip_without_accelerator(items: list[pytest.Item]) -> None:
    needing = [item for item in items if item.get_closest_marker("cuda")]
    if not needing:
        return
    import torch

    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="needs a CUDA device, this machine has none")
        for item in needing:
            item.add_marker(skip)
