"""Other plugins and tools that would spoil a measurement, and what to leave out instead."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import pytest

from perfsuite.plugin.selection import times

DISTRIBUTED = "tiers are measured one at a time, in one process: pass -n 0 (pytest-xdist)"


def is_distributed(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def refuse_what_spoils(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Stop before anything is measured that could not be judged.

    Args:
        config: pytest's.
        items: the tests that measure.

    Raises:
        pytest.UsageError: names what has to be left out.
    """
    for problem in _problems(config, items):
        raise pytest.UsageError(problem)


def _problems(config: pytest.Config, items: Sequence[pytest.Item]) -> Iterator[str]:
    if config.getoption("setuponly", False):
        yield (
            "nothing is judged where only fixtures are set up: leave out --setup-only "
            "(--setup-plan shows them and measures nothing)"
        )
    if _repeats(items):
        yield "repeats in one process are no runs of their own: leave out --count (pytest-repeat)"
    if _reruns(config, items):
        yield (
            "a verdict is not asked for again until it passes: leave out --reruns and the marker "
            "flaky (pytest-rerunfailures)"
        )
    if not any(times(item) for item in items):
        return
    if not config.pluginmanager.hasplugin("benchmark"):
        yield "latency is timed by pytest-benchmark: leave out -p no:benchmark"
    for option, beaten_by in (("disable", "enable"), ("skip", "only")):
        off = config.getoption(f"benchmark_{option}", False)
        if off and not config.getoption(f"benchmark_{beaten_by}", False):
            yield f"nothing is measured: leave out --benchmark-{option}"
    tracer = active_tracer()
    if tracer:
        yield (
            f"{tracer} slows the probe and not the samples: leave it out (--no-cov), or measure "
            "images only with --perf-only quality"
        )


def _repeats(items: Sequence[pytest.Item]) -> bool:
    parameters = [getattr(getattr(item, "callspec", None), "params", {}) for item in items]
    return any("__pytest_repeat_step_number" in each for each in parameters)


def _reruns(config: pytest.Config, items: Sequence[pytest.Item]) -> bool:
    """Whether a plugin would repeat one of the tests after a failure."""
    counted = getattr(config.pluginmanager.getplugin("rerunfailures"), "get_reruns_count", None)
    if counted is not None:
        return any(counted(item) for item in items)
    others = ("pytest-retry", "pytest_retry", "flaky")
    if not any(config.pluginmanager.hasplugin(name) for name in others):
        return False
    asked = config.getoption("retries", 0) or config.getoption("force_flaky", False)
    return bool(asked) or any(item.get_closest_marker("flaky") for item in items)


def active_tracer() -> str | None:
    """What watches every line or call of this process; None if nothing does."""
    coverage = getattr(sys.modules.get("coverage"), "Coverage", None)
    if coverage is not None and coverage.current() is not None:
        return "coverage"
    if sys.gettrace() is not None:
        return "a tracer (sys.settrace)"
    if sys.getprofile() is not None:
        return "a profiler (sys.setprofile)"
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12
    tools = [monitoring.get_tool(number) for number in range(6)] if monitoring else []
    return next((f"the tool '{tool}' (sys.monitoring)" for tool in tools if tool), None)
