"""pip and uv over a folder of tiny wheels; uv is tried where it is on the PATH."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from perfsuite.environments import builder, installer
from perfsuite.environments.builder import MANIFEST, Environments, as_installed
from perfsuite.environments.installer import Pip, Uv, complaint, find_installer
from perfsuite.environments.spec import Requirements
from perfsuite.errors import EnvironmentBroken
from tests.unit.ab_samples import wheel

needs_uv = pytest.mark.skipif(not shutil.which("uv"), reason="needs uv")
BOTH = [
    pytest.param(lambda: Pip(subprocess.run), id="pip"),
    pytest.param(lambda: Uv(subprocess.run, str(shutil.which("uv"))), id="uv", marks=needs_uv),
]


@pytest.fixture
def index(tmp_path: Path) -> tuple[str, ...]:
    """Options for a folder with wheels of tiny 1.0 and 1.1."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for version in ("1.0", "1.1"):
        wheel(wheels, version)
    return ("--no-index", "--find-links", str(wheels))


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installer, "_has_pip", lambda: False)


@pytest.mark.parametrize("made", BOTH)
def test_both_resolve_names_versions_and_files(made: Any, index: tuple[str, ...]) -> None:
    resolve = made().resolve
    (newest,) = resolve(["tiny"], index)
    (oldest,) = resolve([f"{index[2]}/tiny-1.0-py3-none-any.whl"], index, alone=True)
    assert (newest.pin, oldest.pin) == ("tiny==1.1\n", "tiny==1.0\n")
    assert newest.digest != oldest.digest
    assert resolve(["tiny", "--pre"][:1], ("--pre", *index)) == (newest,)
    with pytest.raises(
        EnvironmentBroken, match=r"(pip|uv) cannot install it \(.*tiny==9"
    ) as caught:
        resolve(["tiny==9"], index)
    assert "\n" not in str(caught.value)


@needs_uv
@pytest.mark.usefixtures("no_pip")
def test_uv_makes_an_environment_where_there_is_no_pip(
    tmp_path: Path, index: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "held_equal", lambda named: ())
    python = Environments(tmp_path / "envs").provide(Requirements(("tiny==1.0",), index))
    code = "import tiny; print(tiny.VERSION)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1.0"


@pytest.mark.usefixtures("no_pip")
def test_an_environment_with_neither_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentBroken, match="neither pip nor uv to install with: python -m"):
        Environments(tmp_path).provide(Requirements(("tiny",)))
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    assert isinstance(find_installer(), Uv)
    assert installer.pip_command()[1:3] == ["tool", "run"]


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("ERROR: one\nERROR: two\nhint", "two"),
        (
            "error: No solution found\n  cause: Because there is no tiny==9\n",
            "Because there is no tiny==9",
        ),
        ("fatal\n", "fatal"),
        ("", "it says nothing"),
    ],
)
def test_what_went_wrong_is_one_line(stderr: str, said: str) -> None:
    assert complaint(stderr) == said


def test_a_changed_source_folder_is_something_else(tmp_path: Path) -> None:
    """pip and uv name a folder by its path only."""

    def digest() -> str:
        download = {"url": tmp_path.as_uri(), "dir_info": {}}
        about = {"name": "tiny", "version": "1"}
        return installer._from_report({"metadata": about, "download_info": download}).digest

    source = tmp_path / "tiny.py"
    source.write_text("1")
    before = digest()
    (tmp_path / "tiny.egg-info").mkdir()
    (tmp_path / "tiny.egg-info" / "PKG-INFO").write_text("made by building")
    assert digest() == before
    source.write_text("22")
    assert digest() != before


class Played(metadata.Distribution):
    """torch 2.13.0+cpu, installed from somewhere."""

    def __init__(self, origin: dict[str, Any] | None) -> None:
        self.files_by_name = {"METADATA": "Name: torch\nVersion: 2.13.0+cpu\n"}
        if origin is not None:
            self.files_by_name["direct_url.json"] = json.dumps(origin)

    def read_text(self, filename: str) -> str | None:
        return self.files_by_name.get(filename)

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("origin", "held"),
    [
        (None, "torch==2.13.0+cpu"),
        ({"url": "https://x.org/t.whl", "archive_info": {}}, "torch @ https://x.org/t.whl"),
        (
            {"url": "https://x.org/t", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "torch @ git+https://x.org/t@abc",
        ),
        ({"url": "file:///nowhere/t.whl", "archive_info": {}}, "torch==2.13.0+cpu"),
    ],
)
def test_what_is_held_equal_is_held_as_it_was_installed(
    origin: dict[str, Any] | None, held: str
) -> None:
    assert as_installed(Played(origin)) == held


@pytest.mark.parametrize("local_is_there", [False, True])
def test_an_index_without_local_versions_gives_the_public_one(
    tmp_path: Path, index: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, local_is_there: bool
) -> None:
    if local_is_there:
        wheel(Path(index[2]), "1.0+cpu")
    monkeypatch.setattr(builder, "held_equal", lambda named: ("tiny==1.0+cpu",))
    said: list[str] = []
    environments = Environments(tmp_path / "envs", said.append)
    asked, (found,) = environments._resolve(Requirements((), index))
    assert asked == (("tiny==1.0+cpu",) if local_is_there else ("tiny==1.0",))
    assert found.version == ("1.0+cpu" if local_is_there else "1.0")
    assert any("not on the index: tiny==1.0+cpu" in line for line in said) is not local_is_there


class Slow:
    """An installer of one package that notes who installs at the same time."""

    def __init__(self) -> None:
        self.installs = 0
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def resolve(self, *_: Any, **__: Any) -> tuple[installer.Resolved, ...]:
        return (installer.Resolved("tiny", "1.0", "ab"),)

    def install(self, *_: Any) -> None:
        self.installs += 1
        self.begun.set()
        self.may_end.wait(10)


def test_two_sessions_build_one_environment_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow()
    monkeypatch.setattr(builder, "find_installer", lambda run: slow)
    monkeypatch.setattr(builder, "held_equal", lambda named: ())
    said: list[str] = []

    def provide() -> None:
        Environments(tmp_path, said.append).provide(Requirements(("tiny",)))

    both = [threading.Thread(target=provide) for _ in range(2)]
    both[0].start()
    assert slow.begun.wait(10)
    both[1].start()
    while not any(line.startswith("waiting for another session") for line in said):
        assert both[1].is_alive()
    slow.may_end.set()
    for each in both:
        each.join()
    assert slow.installs == 1


def test_an_environments_scripts_name_the_place_where_they_lie(
    tmp_path: Path, index: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "held_equal", lambda named: ())
    home = Environments(tmp_path / "envs").provide(Requirements(("tiny",), index)).parent.parent
    assert str(home) in (home / "bin" / "activate").read_text()
    # A killed builder leaves half of one, and a lock that nobody holds.
    (home / MANIFEST).unlink()
    (home / "left").touch()
    again = Environments(tmp_path / "envs").provide(Requirements(("tiny",), index)).parent.parent
    assert again == home
    assert not (home / "left").exists()
    with FileLock(home.with_name(f".{home.name}.lock"), timeout=0):
        pass
    assert sys.prefix not in str(home)
