"""Environments from requirements: pip played by a fake, and once for real with a tiny wheel."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from perfsuite.environments import builder as environments
from perfsuite.environments.builder import MANIFEST, Environments
from perfsuite.environments.spec import Interpreter, Requirements
from perfsuite.errors import EnvironmentBroken
from tests.unit.ab_samples import wheel


class FakePip:
    """pip that resolves `tiny` to a version and installs nothing."""

    def __init__(self, version: str = "1.0", complaint: str = "") -> None:
        self.version = version
        self.complaint = complaint
        self.installs: list[list[str]] = []

    def __call__(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "--dry-run" not in command:
            self.installs.append(command)
        if self.complaint:
            return subprocess.CompletedProcess(command, 1, "", self.complaint)
        if "--report" in command:
            item = {
                "metadata": {"name": "Tiny", "version": self.version},
                "download_info": {"url": "https://x", "archive_info": {"hashes": {"sha256": "ab"}}},
            }
            report = Path(command[command.index("--report") + 1])
            report.write_text(json.dumps({"install": [item]}))
        return subprocess.CompletedProcess(command, 0, "", "")


TINY = Requirements(("tiny>=1",), ("--pre",))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual environments are empty folders, and hold nothing but what is asked for."""
    monkeypatch.setattr(venv.EnvBuilder, "create", lambda self, folder: folder.mkdir())
    monkeypatch.setattr(environments, "held_equal", lambda named: ())


def test_an_environment_that_is_there_is_taken_as_it_is(tmp_path: Path) -> None:
    python = Path("/venv/bin/python")
    assert Environments(tmp_path).provide(Interpreter(python)) == python


@pytest.mark.usefixtures("bare")
def test_an_environment_is_built_once(tmp_path: Path) -> None:
    pip = FakePip()
    first = Environments(tmp_path, run=pip).provide(TINY)
    second = Environments(tmp_path, run=pip).provide(TINY)
    assert first == second
    assert len(pip.installs) == 1
    assert pip.installs[0][-2:] == ["--pre", "tiny>=1"]
    home = first.parent.parent
    assert json.loads((home / MANIFEST).read_text())["packages"] == [
        {"name": "tiny", "version": "1.0", "digest": "ab"}
    ]


@pytest.mark.usefixtures("bare")
def test_what_resolves_to_something_else_is_another_environment(tmp_path: Path) -> None:
    pip = FakePip()
    first = Environments(tmp_path, run=pip).provide(TINY)
    pip.version = "1.1"
    assert Environments(tmp_path, run=pip).provide(TINY) != first
    assert len(list(tmp_path.glob("*/environment.json"))) == 2


@pytest.mark.usefixtures("bare")
def test_another_way_to_ask_for_the_same_is_the_same_environment(tmp_path: Path) -> None:
    pip = FakePip()
    environments_ = Environments(tmp_path, run=pip)
    assert environments_.provide(TINY) == environments_.provide(Requirements(("tiny==1.0",)))


@pytest.mark.usefixtures("bare")
def test_half_an_environment_is_built_anew(tmp_path: Path) -> None:
    pip = FakePip()
    python = Environments(tmp_path, run=pip).provide(TINY)
    (python.parent.parent / MANIFEST).unlink()
    Environments(tmp_path, run=pip).provide(TINY)
    assert len(pip.installs) == 2


@pytest.mark.usefixtures("bare")
def test_what_does_not_install_leaves_nothing_behind_and_says_what_pip_says(
    tmp_path: Path,
) -> None:
    pip = FakePip(complaint="ERROR: one\nERROR: No matching distribution found for tiny\nhint\n")
    with pytest.raises(EnvironmentBroken, match=r"\(No matching distribution found for tiny\)"):
        Environments(tmp_path, run=pip).provide(TINY)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.usefixtures("bare")
def test_progress_is_said_before_what_takes_long(tmp_path: Path) -> None:
    said: list[str] = []
    Environments(tmp_path, said.append, FakePip()).provide(TINY)
    assert said[0] == "resolving tiny>=1"
    assert said[1].startswith("building an environment of 1 packages in ")


def test_what_is_not_named_is_held_equal() -> None:
    pins = environments.held_equal({"torch", "diffusers"})
    names = {pin.partition("==")[0] for pin in pins}
    assert {"transformers", "torchao", "msgspec"} <= names
    assert not {"torch", "diffusers", "mypy"} & names
    assert all("==" in pin for pin in pins)


def test_pip_makes_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "held_equal", lambda named: ())
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "1.0")
    spec = Requirements(("tiny",), ("--no-index", "--find-links", str(wheels)))
    python = Environments(tmp_path / "envs").provide(spec)
    assert python.is_relative_to(tmp_path / "envs")
    code = "import sys, tiny; print(tiny.VERSION, sys.prefix)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1.0", str(python.parent.parent)]
    assert sys.prefix not in done.stdout
