"""Which tests are perfsuite's, what each measures, and in which order they run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

TIER = "perf_tier"
WORKLOAD = "perf_workload"
EXACTNESS = "perf_exactness_verdict"
LAYERS = "perf_layers_verdict"
QUALITY = "perf_quality_verdict"
STRUCTURE = "perf_structure_verdict"
IMAGES = frozenset({QUALITY, EXACTNESS, LAYERS})
VERDICTS = IMAGES | {"perf_latency_verdict", STRUCTURE}
LATENCY = frozenset({"perf_measurement", "perf_latency_verdict"})
MEASURING = VERDICTS | LATENCY | {TIER, WORKLOAD, "perf_run"}
NAMES = MEASURING | {"perf_enforce"}
PER_TIER = (TIER, EXACTNESS, LAYERS)
"""Fixtures that a test is parametrised over, by the tiers' names."""
TIMING = "timing"
"""Marker of tests that run the workload for its time or its images; not of those that count."""
NO_TIER = ""
"""The parameter of a test for which none of the chosen tiers is meant; it is not selected."""

_FIXTURES_MODULE = "perfsuite.plugin.fixtures"


def names_perf(config: pytest.Config) -> bool:
    """Whether the expression of `-m` names perf."""
    return re.search(r"\bperf\b", config.getoption("markexpr") or "") is not None


def could_select(config: pytest.Config, definition: Any) -> bool:
    """Whether the expression of `-m` can select a test that measures.

    `-m "not perf"` names perf and measures nothing.
    """
    from _pytest.mark.expression import Expression

    marks = {"perf", *(mark.name for mark in definition.iter_markers())}
    if runs_the_workload(definition):
        marks.add(TIMING)
    try:
        expression = Expression.compile(config.getoption("markexpr") or "")
    except SyntaxError:
        return False  # pytest says so itself
    return expression.evaluate(lambda name, /, **_: name in marks)


def own_fixtures(item: Any) -> frozenset[str]:
    """Names of perfsuite's fixtures that a test or a function definition uses.

    A fixture of the same name that somebody defines for themselves is theirs, unless it builds on
    perfsuite's.
    """
    used = NAMES.intersection(getattr(item, "fixturenames", ()))
    if not used:
        return used
    info = getattr(item, "_fixtureinfo", None)
    definitions = info.name2fixturedefs if info is not None else {}
    return frozenset(name for name in used if _is_own(name, definitions.get(name, ())))


def _is_own(name: str, definitions: Iterable[Any]) -> bool:
    for definition in reversed(tuple(definitions)):
        if definition.func.__module__ == _FIXTURES_MODULE:
            return True
        if name not in definition.argnames:
            return False
    return False


def is_own(item: pytest.Item) -> bool:
    """Whether a test is touched at all: it carries `perf`, or uses one of the fixtures."""
    return item.get_closest_marker("perf") is not None or bool(own_fixtures(item))


def measures(item: pytest.Item) -> bool:
    """Whether a test needs a session that measures."""
    return bool(own_fixtures(item) & MEASURING)


def times(item: pytest.Item) -> bool:
    """Whether a test takes samples of latency."""
    return bool(own_fixtures(item) & LATENCY)


def runs_the_workload(item: Any) -> bool:
    """Whether a test samples latency or makes images."""
    return bool(own_fixtures(item) & (LATENCY | IMAGES))


def is_of_another_kind(item: pytest.Item, only: str | None) -> bool:
    """Whether `--perf-only` leaves a test out; one of neither kind never is."""
    used = own_fixtures(item)
    kinds = {
        "latency": bool(used & LATENCY),
        "quality": bool(used & IMAGES),
        "structure": STRUCTURE in used,
    }
    return only is not None and any(kinds.values()) and not kinds[only]


def tier_of(item: pytest.Item) -> str | None:
    """Name of the tier that a test runs for."""
    parameters = parameters_of(item)
    return next((str(parameters[name]) for name in PER_TIER if name in parameters), None)


def parameters_of(item: pytest.Item) -> Mapping[str, Any]:
    """What a test is parametrised with, by name."""
    parameters: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return parameters


def tiers_of(items: Iterable[pytest.Item]) -> tuple[str, ...]:
    """Names of all tiers that tests run for, each once."""
    return tuple(dict.fromkeys(name for item in items if (name := tier_of(item)) is not None))


def suits(item: pytest.Item) -> bool:
    """Whether a test is for its tier: not every tier has exact changes or quantised layers."""
    name = tier_of(item)
    return name is None or bool(suiting((name,), own_fixtures(item)))


def suiting(names: Iterable[str], fixtures: Iterable[str]) -> tuple[str, ...]:
    """Those of some tiers that a test with these fixtures is for.

    A tier that is not registered yet stays: a conftest that is read later may register it.
    """
    from perfsuite.ladder import changes_layers, has_exactness, tiers

    rows = {row.name: row for row in tiers()}
    kinds = {EXACTNESS: has_exactness, LAYERS: changes_layers}
    tests = [kinds[name] for name in fixtures if name in kinds]
    return tuple(
        name
        for name in names
        if name and (name not in rows or all(test(rows[name]) for test in tests))
    )


def in_order(items: list[pytest.Item], collected: dict[pytest.Item, int]) -> list[pytest.Item]:
    """Items with perfsuite's in the ladder's order, whatever has shuffled them.

    A tier is built once for all tests that use it, so those stand together, first what samples its
    latency, then what counts, since images of another workload may compile anew; tests that build
    their tier themselves come after them. Everybody else's tests keep their places.

    Args:
        items: all tests.
        collected: the position at which each of perfsuite's was collected.
    """
    from perfsuite.ladder import tiers

    ladder = [row.name for row in tiers()]

    def place(item: pytest.Item) -> tuple[bool, int, str, int, int]:
        name, work = tier_of(item), parameters_of(item).get(WORKLOAD, "")
        rung = ladder.index(name) if name in ladder else len(ladder)
        used = own_fixtures(item)
        kind = 0 if used & LATENCY else 1 if STRUCTURE in used else 2
        return TIER not in used, rung, str(work), kind, collected.get(item, 0)

    ordered = iter(sorted((item for item in items if item in collected), key=place))
    return [next(ordered) if item in collected else item for item in items]
