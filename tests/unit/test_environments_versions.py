"""Versions between two ends, and what pip says of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from perfsuite.environments.spec import Interpreter, Requirements, parse_spec
from perfsuite.environments.versions import (
    at_version,
    between,
    installed_version,
    package_of,
    pinned_version,
    recorded_version,
    released_versions,
)
from perfsuite.errors import EnvironmentBroken, SettingsError

HERE = Interpreter(Path(sys.executable))


class FakeRun:
    """A command that says something."""

    def __init__(self, stdout: str = "", stderr: str = "", code: int = 0) -> None:
        self.said = (code, stdout, stderr)
        self.command: list[str] = []

    def __call__(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.command = command
        code, stdout, stderr = self.said
        return subprocess.CompletedProcess(command, code, stdout, stderr)


def requirements(text: str) -> Requirements:
    spec = parse_spec(text)
    assert isinstance(spec, Requirements)
    return spec


def test_the_first_package_of_either_end_is_bisected() -> None:
    torch = requirements("torch==2.13.0 torchao==0.17.0")
    assert package_of(torch, requirements("--pre Torch")) == "torch"
    assert package_of(HERE, torch) == "torch"
    with pytest.raises(SettingsError, match="diffusers and torch are two packages"):
        package_of(torch, requirements("diffusers==0.42.0"))
    with pytest.raises(SettingsError, match="no versions between"):
        package_of(HERE, HERE)


def test_what_does_not_say_its_name_cannot_be_bisected() -> None:
    nameless = requirements("git+https://x.org/tiny")
    assert pinned_version(nameless) is None
    with pytest.raises(SettingsError, match=r"write it as 'NAME @ git\+https://x.org/tiny'"):
        package_of(nameless, nameless)
    named = requirements("tiny @ git+https://x.org/tiny")
    assert package_of(requirements("tiny==1.0"), named) == "tiny"
    assert pinned_version(named) is None
    assert at_version(named, "1.1").packages == ("tiny==1.1",)


def test_another_version_changes_the_first_package_only() -> None:
    spec = requirements("--index-url https://x torch==2.14.1 torchao==0.17.0")
    expected = Requirements(("torch==2.14.0", "torchao==0.17.0"), ("--index-url", "https://x"))
    assert at_version(spec, "2.14.0") == expected


@pytest.mark.parametrize(
    ("text", "version"),
    [("torch==2.14.1+cpu", "2.14.1"), ("torch", None), ("torch>=2.14", None), ("t==2.*", None)],
)
def test_a_pin_tells_the_version_before_anything_is_built(text: str, version: str | None) -> None:
    assert pinned_version(requirements(text)) == version
    assert pinned_version(HERE) is None


def test_an_environment_tells_its_version() -> None:
    assert Version(installed_version(HERE.python, "pytest")) == Version(pytest.__version__)
    assert installed_version(HERE.python, "any", FakeRun("2.13.0+cpu\n")) == "2.13.0"
    with pytest.raises(EnvironmentBroken, match="does not hold nothing-of-the-kind"):
        installed_version(HERE.python, "nothing-of-the-kind")


def test_pip_is_asked_with_the_options_that_name_the_index() -> None:
    run = FakeRun("torch (2.14.1)\nAvailable versions: 2.14.1, 2.14.0, 2.13.0\n  INSTALLED: 2\n")
    options = ("--pre", "--index-url", "https://x", "--constraint", "c.txt")
    assert released_versions("torch", options, run) == ("2.14.1", "2.14.0", "2.13.0")
    assert run.command[-4:] == ["--pre", "--index-url", "https://x", "torch"]


@pytest.mark.parametrize(
    "run", [FakeRun(stderr="ERROR: No matching distribution found for torch", code=1), FakeRun()]
)
def test_an_index_that_lists_nothing_is_said_so(run: FakeRun) -> None:
    with pytest.raises(EnvironmentBroken, match="cannot list the versions of torch"):
        released_versions("torch", (), run)


NIGHTLIES = ["2.15.0.dev20261101+cu130", "2.15.0.dev20261102+cu130", "2.15.0.dev20261103+cu130"]


def test_development_versions_count_if_an_end_is_one() -> None:
    released = ["2.14.0", "2.14.1", "2.15.0rc1", *NIGHTLIES, "rubbish"]
    assert between(released, "2.14.0", "2.15.0") == ("2.14.0", "2.14.1", "2.15.0")
    assert between(released, "2.14.1", "2.15.0.dev20261103") == (
        "2.14.1",
        "2.15.0.dev20261101",
        "2.15.0.dev20261102",
        "2.15.0.dev20261103",
    )


@pytest.mark.parametrize(("good", "bad"), [("2.14.0", "2.13.0"), ("2.14.0", "2.14.0")])
def test_the_good_end_has_to_be_older(good: str, bad: str) -> None:
    with pytest.raises(SettingsError, match="not older than --bad"):
        between([], good, bad)


@given(st.sets(st.integers(0, 30)), st.integers(0, 15), st.integers(16, 30))
def test_what_lies_between_is_sorted_and_holds_both_ends(
    minors: set[int], good: int, bad: int
) -> None:
    found = between([f"1.{minor}" for minor in minors], f"1.{good}", f"1.{bad}")
    numbers = [Version(each).minor for each in found]
    assert numbers == sorted({good, bad} | {each for each in minors if good < each < bad})


def test_a_record_tells_the_version_by_any_spelling() -> None:
    assert recorded_version({"Torch": "2.15.0.dev1+cu130"}, "torch") == "2.15.0.dev1"
    assert recorded_version({}, "torch") is None
