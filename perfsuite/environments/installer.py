"""What resolves and installs requirements: pip, or uv in an environment that has no pip.

pip comes first since its configuration names the index that this environment was installed from.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.utils import canonicalize_name

from perfsuite.children import run_child
from perfsuite.errors import EnvironmentBroken

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Run = Callable[..., "subprocess.CompletedProcess[str]"]
"""`perfsuite.children.run_child`, or a fake of it."""
_MADE_BY_BUILDING = ("build", "dist", "__pycache__")


@dataclass(frozen=True)
class Resolved:
    """One distribution that was chosen.

    Attributes:
        name: canonical name.
        version: its version; empty where only building it would tell.
        digest: SHA-256 of its archive, or of where it came from if it has none.
    """

    name: str
    version: str
    digest: str

    @property
    def pin(self) -> str:
        """As a line of a constraints file; empty without a version."""
        return f"{self.name}=={self.version}\n" if self.version else ""


class Installer(Protocol):
    """Resolves and installs requirements. Both methods may raise EnvironmentBroken."""

    def resolve(
        self, asked: Iterable[str], options: Iterable[str], *, alone: bool = False
    ) -> tuple[Resolved, ...]:
        """What would be installed; `alone` leaves dependencies out."""

    def install(
        self, python: Path, pins: Path, asked: Iterable[str], options: Iterable[str]
    ) -> None:
        """Install into another environment, which needs no installer of its own."""


def find_installer(run: Run = run_child) -> Installer:
    """Pip of this environment, else uv.

    Raises:
        EnvironmentBroken: there is neither.
    """
    return Pip(run) if _has_pip() else Uv(run, _uv())


def pip_command() -> list[str]:
    """How pip itself is run, for what only pip can do."""
    if _has_pip():
        return [sys.executable, "-m", "pip"]
    return [_uv(), "tool", "run", "--python", sys.executable, "pip"]


@dataclass(frozen=True)
class Pip:
    """This environment's pip."""

    run: Run

    def resolve(
        self, asked: Iterable[str], options: Iterable[str], *, alone: bool = False
    ) -> tuple[Resolved, ...]:
        """From pip's installation report."""
        with tempfile.TemporaryDirectory() as scratch:
            report = Path(scratch, "report.json")
            words = ["--dry-run", "--ignore-installed", "--report", str(report)]
            self._pip([], [*words, *(["--no-deps"] if alone else []), *options, *asked])
            installs = json.loads(report.read_text())["install"]
        return tuple(_from_report(item) for item in installs)

    def install(
        self, python: Path, pins: Path, asked: Iterable[str], options: Iterable[str]
    ) -> None:
        """With `pip --python`."""
        self._pip(["--python", str(python)], ["--constraint", str(pins), *options, *asked])

    def _pip(self, before: list[str], arguments: list[str]) -> None:
        quiet = ["install", "--quiet", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", *before, *quiet, *arguments]
        done = self.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise _refused("pip", complaint(done.stderr))


@dataclass(frozen=True)
class Uv:
    """The uv at a path."""

    run: Run
    uv: str

    def resolve(
        self, asked: Iterable[str], options: Iterable[str], *, alone: bool = False
    ) -> tuple[Resolved, ...]:
        """From the lock file (PEP 751) that `uv pip compile` writes."""
        words = ["-", "--python", sys.executable, "--format", "pylock.toml", "--no-header"]
        words += [*(["--no-deps"] if alone else []), *_in_uvs_words(options)]
        locked = self._uv("compile", words, "".join(f"{line}\n" for line in asked))
        return tuple(_from_lock(each) for each in tomllib.loads(locked).get("packages", []))

    def install(
        self, python: Path, pins: Path, asked: Iterable[str], options: Iterable[str]
    ) -> None:
        """With `uv pip install --python`."""
        words = ["--python", str(python), "--constraints", str(pins), *_in_uvs_words(options)]
        self._uv("install", [*words, *asked])

    def _uv(self, verb: str, arguments: list[str], given: str = "") -> str:
        command = [self.uv, "pip", verb, "--quiet", *arguments]
        done = self.run(command, input=given, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise _refused("uv", complaint(done.stderr))
        return done.stdout


def complaint(stderr: str) -> str:
    """The last error that pip names, or the cause that uv names, without its label."""
    lines = [line.strip() for line in stderr.strip().splitlines()]
    errors = [line for line in lines if line.startswith(("ERROR:", "cause:"))]
    said = (errors or lines or ["it says nothing"])[-1]
    return said.removeprefix("ERROR:").removeprefix("cause:").strip()


def file_of(url: str) -> Path | None:
    """The file or folder that a URL names; None if it is no `file:` URL."""
    parts = urlsplit(url)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def _has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None


def _uv() -> str:
    found = shutil.which("uv")
    if found is None:
        raise EnvironmentBroken(
            "this environment has neither pip nor uv to install with",
            hint="python -m ensurepip, or install uv, or name an environment that is there",
        )
    return found


def _refused(what: str, said: str) -> EnvironmentBroken:
    return EnvironmentBroken(
        f"{what} cannot install it ({said})",
        hint="correct the requirements, or pass --index-url or --constraints with them",
    )


def _in_uvs_words(options: Iterable[str]) -> list[str]:
    words = {"--pre": "--prerelease=allow", "--constraint": "--constraints"}
    return [words.get(option, option) for option in options]


def _from_report(item: Mapping[str, Any]) -> Resolved:
    about, download = item["metadata"], item["download_info"]
    hashes = download.get("archive_info", {}).get("hashes", {})
    digest = hashes.get("sha256") or _digest(download, file_of(download["url"]))
    return Resolved(canonicalize_name(about["name"]), about["version"], digest)


def _from_lock(package: Mapping[str, Any]) -> Resolved:
    source = {key: value for key, value in package.items() if key not in ("name", "version")}
    folder = source.get("directory", {}).get("path")
    digest = _digest(source, Path(folder) if folder else None)
    return Resolved(canonicalize_name(package["name"]), package.get("version", ""), digest)


def _digest(source: Mapping[str, Any], folder: Path | None) -> str:
    """Of where something came from; of a folder, also of what is in it by now."""
    known = json.dumps(source, sort_keys=True, default=str)
    if folder is not None and folder.is_dir():
        known += json.dumps(_contents(folder))
    return hashlib.sha256(known.encode()).hexdigest()


def _contents(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of a source folder's files, but for what building it makes."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not _is_made(each)]
        for path in (Path(place, name) for name in files):
            about = path.lstat()
            found.append((str(path.relative_to(folder)), about.st_size, about.st_mtime_ns))
    return sorted(found)


def _is_made(folder: str) -> bool:
    return folder.startswith(".") or folder.endswith(".egg-info") or folder in _MADE_BY_BUILDING
