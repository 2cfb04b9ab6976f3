"""The project's conftests, which may register tiers, checkpoints and families of pipelines."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import metadata
from pathlib import Path

import pytest

from perfsuite.errors import SettingsError

_PLUGIN = "perfsuite.plugin"


class _NoTests:
    """A pytest plugin that leaves out every file, so that a session only loads conftests."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        named = [Path(each.split("::")[0]) for each in config.args]  # testpaths may name files
        config.args = [str(path.parent if path.is_file() else path) for path in named]

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        return collection_path.is_file() or None


def load_conftests(folder: Path | None = None) -> None:
    """Load the conftests that pytest would load in a folder: they may register tiers.

    Args:
        folder: where pytest would be started; None for the working directory.

    Raises:
        SettingsError: one cannot be loaded, or pytest cannot be configured there.
    """
    said, errors_said = io.StringIO(), io.StringIO()
    # Where perfsuite is not installed, but lent to an environment, its options are unknown.
    lent = [] if _is_installed() else ["-p", _PLUGIN]
    with _working_in(folder), redirect_stderr(errors_said), redirect_stdout(said):
        code = pytest.main(["--collect-only", *lent], plugins=[_NoTests()])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        both = errors_said.getvalue() + said.getvalue()
        lines = [line.strip() for line in both.splitlines() if line.strip()]
        errors = [line[1:].strip() for line in lines if line.startswith("E ")]
        raise SettingsError(
            f"the tiers of {folder or Path.cwd()} cannot be read "
            f"({(errors or lines or [str(code)])[0]})",
            hint="fix its conftest.py, so that pytest runs there",
        )


def _is_installed() -> bool:
    return any(each.value == _PLUGIN for each in metadata.entry_points(group="pytest11"))


@contextmanager
def _working_in(folder: Path | None) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder or before)
    try:
        yield
    finally:
        os.chdir(before)
