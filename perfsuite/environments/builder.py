"""Environments made from requirements: resolved by pip, built once, kept by what they hold.

Only what is asked for may differ from the environment that perfsuite runs in, so its other direct
dependencies are asked for in the versions that are installed here; what they need in turn is pip's
choice. The folder's name is a digest of all that pip resolved to, so that a nightly index that has
moved on makes a new environment, and anything else finds the old one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from perfsuite.environments.spec import Interpreter, Requirements, Spec, name_of
from perfsuite.errors import EnvironmentBroken
from perfsuite.storage import write_json

SCHEMA = 1
MANIFEST = "environment.json"
"""Written last: a folder without it is not an environment."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]
"""`subprocess.run`, or a fake of it."""


@dataclass(frozen=True)
class Resolved:
    """One distribution that pip has chosen.

    Attributes:
        name: canonical name.
        version: its version.
        digest: SHA-256 of its archive, or where it came from if it has none.
    """

    name: str
    version: str
    digest: str

    @property
    def pin(self) -> str:
        """As a line of a constraints file."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Manifest:
    """What an environment holds.

    Attributes:
        schema: version of this layout.
        asked: requirements and options that it was made from.
        python: version of its interpreter.
        packages: all that pip installed.
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
        folder: where they are kept.
        say: told, once, before something that takes minutes.
        run: runs a command.
    """

    def __init__(
        self,
        folder: Path,
        say: Callable[[str], None] = lambda line: None,
        run: Run = subprocess.run,
    ) -> None:
        self._folder = folder
        self._say = say
        self._run = run

    def provide(self, spec: Spec) -> Path:
        """The interpreter of an environment, which is made if it is not there.

        Raises:
            EnvironmentBroken: it does not resolve or install.
        """
        if isinstance(spec, Interpreter):
            return spec.python
        asked = (*_held_equal(spec), *spec.packages)
        self._say(f"resolving {' '.join(spec.packages)}")
        manifest = self._resolve(asked, spec.options)
        home = self._folder / manifest.key
        if not (home / MANIFEST).is_file():
            self._say(f"building an environment of {len(manifest.packages)} packages in {home}")
            self._build(home, manifest, spec.options)
        return _python(home)

    def _resolve(self, asked: tuple[str, ...], options: tuple[str, ...]) -> Manifest:
        with tempfile.TemporaryDirectory() as scratch:
            report = Path(scratch) / "report.json"
            self._pip(
                ["--dry-run", "--ignore-installed", "--report", str(report), *options, *asked]
            )
            installs = json.loads(report.read_text())["install"]
        packages = tuple(_resolved(item) for item in installs)
        python = ".".join(str(part) for part in sys.version_info[:3])
        return Manifest(SCHEMA, (*options, *asked), python, packages)

    def _build(self, home: Path, manifest: Manifest, options: tuple[str, ...]) -> None:
        """Make it beside its place and move it there whole; a second builder's copy is dropped."""
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".building-", dir=self._folder))
        try:
            venv.EnvBuilder(with_pip=False, symlinks=os.name == "posix", clear=True).create(draft)
            pins = draft / "pins.txt"
            pins.write_text("".join(f"{each.pin}\n" for each in manifest.packages))
            asked = [word for word in manifest.asked if word not in options]
            self._pip(["--constraint", str(pins), *options, *asked], into=_python(draft))
            write_json(draft / MANIFEST, manifest)
            if home.exists() and not (home / MANIFEST).is_file():
                shutil.rmtree(home)
            draft.rename(home)
        except subprocess.CalledProcessError as error:
            problem = f"no virtual environment can be made ({error})"
            raise EnvironmentBroken(problem, hint="install Python's venv") from None
        except OSError as error:
            if not (home / MANIFEST).is_file():
                problem = f"cannot build an environment in {self._folder} ({error.strerror})"
                raise EnvironmentBroken(problem, hint="free space, or pass another --out") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _pip(self, arguments: list[str], into: Path | None = None) -> None:
        """This environment's pip, which installs into others, too: none needs a pip of its own."""
        python = [] if into is None else ["--python", str(into)]
        command = [sys.executable, "-m", "pip", *python, "install"]
        options = ["--quiet", "--disable-pip-version-check"]
        done = self._run(
            [*command, *options, *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise EnvironmentBroken(
                f"pip cannot install it ({complaint(done.stderr)})",
                hint="correct the requirements, or pass --index-url or --constraints with them",
            )


def _held_equal(spec: Requirements) -> list[str]:
    """Perfsuite's own dependencies in the versions that are installed here, but for those named."""
    named = {name_of(package) for package in spec.packages}
    pins = []
    for line in metadata.requires("perfsuite") or ():
        requirement = Requirement(line)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and canonicalize_name(requirement.name) not in named:
            pins.append(f"{requirement.name}=={metadata.version(requirement.name)}")
    return pins


def _resolved(item: dict[str, dict[str, dict[str, str]]]) -> Resolved:
    """One entry of pip's installation report."""
    about, download = item["metadata"], item["download_info"]
    archive: dict[str, dict[str, str]] = download.get("archive_info", {})  # type: ignore[assignment]
    hashes = archive.get("hashes", {})
    origin = hashlib.sha256(json.dumps(download, sort_keys=True).encode()).hexdigest()
    return Resolved(
        canonicalize_name(str(about["name"])), str(about["version"]), hashes.get("sha256", origin)
    )


def _python(home: Path) -> Path:
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def complaint(stderr: str) -> str:
    """The last error that pip names, without its label."""
    lines = stderr.strip().splitlines()
    errors = [line for line in lines if line.startswith("ERROR:")]
    said = (errors or lines or ["pip says nothing"])[-1]
    return said.removeprefix("ERROR:").strip()
