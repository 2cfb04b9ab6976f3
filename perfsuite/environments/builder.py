"""Environments made from requirements: resolved, built once, kept by what they hold.

Only what is asked for may differ from the environment that perfsuite runs in, so its other direct
dependencies are asked for as they are installed here; what they need in turn is the installer's
choice. The folder's name is a digest of all that was resolved, so that a nightly index that has
moved on makes a new environment, and anything else finds the old one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from perfsuite.children import run_child
from perfsuite.compiler import without_spaces
from perfsuite.environments.installer import Resolved, Run, file_of, find_installer
from perfsuite.environments.spec import Interpreter, Requirements, Spec, name_of
from perfsuite.errors import EnvironmentBroken
from perfsuite.storage import write_json

SCHEMA = 1
MANIFEST = "environment.json"
"""Written last: a folder without it is not an environment."""


@dataclass(frozen=True)
class Manifest:
    """What an environment holds.

    Attributes:
        schema: version of this layout.
        asked: options and requirements that it was made from.
        python: version of its interpreter.
        packages: all that was installed.
    """

    schema: int
    asked: tuple[str, ...]
    python: str
    packages: tuple[Resolved, ...]

    @property
    def key(self) -> str:
        """Names the folder: equal for equal content, however it was asked for."""
        content = msgspec.json.encode((self.python, sorted(self.packages, key=lambda p: p.name)))
        return hashlib.sha256(content).hexdigest()[:12]


class Environments:
    """A folder of environments.

    Args:
        folder: where they are kept; by a path without spaces, since compilers link from there.
        say: told, once, before something that takes minutes.
        run: runs a command.
    """

    def __init__(
        self,
        folder: Path,
        say: Callable[[str], None] = lambda line: None,
        run: Run = run_child,
    ) -> None:
        self._folder = without_spaces(folder)
        self._say = say
        self._run = run

    def provide(self, spec: Spec) -> Path:
        """The interpreter of an environment, which is made if it is not there.

        Raises:
            EnvironmentBroken: it does not resolve or install.
        """
        if isinstance(spec, Interpreter):
            return spec.python
        self._say(f"resolving {' '.join(spec.packages)}")
        asked, packages = self._resolve(spec)
        python = ".".join(str(part) for part in sys.version_info[:3])
        manifest = Manifest(SCHEMA, (*spec.options, *asked), python, packages)
        home = self._folder / manifest.key
        if not (home / MANIFEST).is_file():
            self._build(home, manifest, asked, spec.options)
        os.utime(home / MANIFEST)  # `perfsuite prune` leaves alone what was used lately
        return _python(home)

    def _resolve(self, spec: Requirements) -> tuple[tuple[str, ...], tuple[Resolved, ...]]:
        """Requirements that hold the rest equal, and what they resolve to.

        An index may have no local versions ('2.13.0+cpu'): the public ones are held then.
        """
        resolve = find_installer(self._run).resolve
        held = held_equal(self._names(spec))
        public = tuple(_without_local(each) for each in held)
        try:
            asked = (*held, *spec.packages)
            return asked, resolve(asked, spec.options)
        except EnvironmentBroken:
            if public == held:
                raise
        asked = (*public, *spec.packages)
        packages = resolve(asked, spec.options)
        changed = ", ".join(each for each in held if each not in public)
        self._say(f"not on the index: {changed}; held by the public version, maybe another build")
        return asked, packages

    def _names(self, spec: Requirements) -> set[str]:
        """Packages that are asked for; what does not say its name is asked for it."""
        names = {name_of(package) for package in spec.packages}
        nameless = [package for package in spec.packages if name_of(package) is None]
        if nameless:
            found = find_installer(self._run).resolve(nameless, spec.options, alone=True)
            names |= {each.name for each in found}
        return {name for name in names if name is not None}

    def _build(
        self, home: Path, manifest: Manifest, asked: Iterable[str], options: Iterable[str]
    ) -> None:
        """Make it in its place, which its scripts name; half of one is made anew."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._locked(home):
                if not (home / MANIFEST).is_file():
                    self._fill(home, manifest, asked, options)
        except subprocess.CalledProcessError as error:
            problem = f"no virtual environment can be made ({error})"
            raise EnvironmentBroken(problem, hint="install Python's venv") from None
        except OSError as error:
            problem = f"cannot build an environment in {self._folder} ({error.strerror})"
            raise EnvironmentBroken(
                problem, hint="free space, or pass another --perf-out"
            ) from None

    @contextmanager
    def _locked(self, home: Path) -> Iterator[None]:
        """One builder at a time; the lock of one that was killed is free."""
        lock = FileLock(home.with_name(f".{home.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._say(f"waiting for another session that builds {home}")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _fill(
        self, home: Path, manifest: Manifest, asked: Iterable[str], options: Iterable[str]
    ) -> None:
        self._say(f"building an environment of {len(manifest.packages)} packages in {home}")
        shutil.rmtree(home, ignore_errors=True)
        try:
            venv.EnvBuilder(with_pip=False, symlinks=os.name == "posix").create(home)
            pins = home / "pins.txt"
            pins.write_text("".join(each.pin for each in manifest.packages))
            find_installer(self._run).install(_python(home), pins, asked, options)
            write_json(home / MANIFEST, manifest)
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise


def held_equal(named: set[str]) -> tuple[str, ...]:
    """Perfsuite's own dependencies as they are installed here, but for those that are named."""
    pins = []
    for line in metadata.requires("perfsuite") or ():
        requirement = Requirement(line)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and canonicalize_name(requirement.name) not in named:
            pins.append(as_installed(metadata.distribution(requirement.name)))
    return tuple(pins)


def as_installed(distribution: metadata.Distribution) -> str:
    """A requirement for what is installed: its version, or the URL that it was installed from."""
    name = distribution.metadata["Name"]
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    url, vcs = origin.get("url", ""), origin.get("vcs_info")
    path = file_of(url)
    if not url or (path is not None and not path.exists()):
        return f"{name}=={distribution.version}"
    source = f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url
    inside = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
    return f"{name} @ {source}{inside}"


def _without_local(pin: str) -> str:
    """A pin without the local part of its version: 'torch==2.13.0' for 'torch==2.13.0+cpu'."""
    return pin if " @ " in pin else pin.partition("+")[0]


def _python(home: Path) -> Path:
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
