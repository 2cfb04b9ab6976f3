"""Values of options that stand as words of their own on the command line.

pytest looks for the root folder before it knows the options of plugins: in `--perf-checkpoint ../x`
it takes `../x` for the place of the tests, and with another root come other settings, other
baselines and another pytest.ini. Such a command line is read again, before any conftest is loaded,
with the two words joined (`--perf-checkpoint=../x`).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from perfsuite.options import OPTIONS

_TAKING_A_VALUE = frozenset(f"--perf-{each.name}" for each in OPTIONS if each.metavar is not None)
_ADDED = "PYTEST_ADDOPTS"


def mistaken_for_paths(words: Sequence[str], folder: Path) -> bool:
    """Whether pytest takes a value of one of the options for a path of tests.

    Args:
        words: the command line.
        folder: where pytest was called.
    """
    values = [after for before, after in pairwise(words) if before in _TAKING_A_VALUE]
    return any((folder / value).exists() for value in values if not value.startswith("-"))


def joined(words: Sequence[str]) -> list[str]:
    """A command line with every such value joined to its option."""
    kept: list[str] = []
    for word in words:
        if kept and kept[-1] in _TAKING_A_VALUE and not word.startswith("-"):
            kept[-1] += f"={word}"
        else:
            kept.append(word)
    return kept


def command_line(config: pytest.Config) -> list[str]:
    """All words that decide on the root folder."""
    added = shlex.split(os.environ.get(_ADDED, ""))
    return [*added, *(os.fspath(word) for word in config.invocation_params.args)]


def run_again(config: pytest.Config) -> int:
    """Run pytest on the joined command line instead; its exit code."""
    words = joined(command_line(config))
    added = os.environ.pop(_ADDED, None)
    try:
        return pytest.main(words, plugins=config.invocation_params.plugins)
    finally:
        if added is not None:
            os.environ[_ADDED] = added
