"""What a person may write after --control and --treatment, and what is meant by it."""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from perfsuite.environments.installer import file_of
from perfsuite.errors import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HINT = (
    "name a virtual environment's folder, a python executable, '.' for this one, "
    'or requirements such as "torch==2.14.1", "git+https://...", a wheel or a project\'s folder'
)
_SWITCHES = ("--pre", "--no-index")
_VALUES = ("--index-url", "--extra-index-url", "--find-links", "--constraints", "--constraint")
_FILES = ("--constraints", "--constraint")
_ARCHIVES = (".whl", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz")
"""What pip installs from a file."""


@dataclass(frozen=True)
class Interpreter:
    """An environment that is there.

    Attributes:
        python: its interpreter; never resolved, since a link's place is what makes it a virtual
            environment's.
    """

    python: Path


@dataclass(frozen=True)
class Requirements:
    """An environment to be made.

    Attributes:
        packages: requirements, as pip takes them: by name, by URL, or an absolute path.
        options: options of pip.
    """

    packages: tuple[str, ...]
    options: tuple[str, ...] = ()


Spec = Interpreter | Requirements


def parse_spec(text: str) -> Spec:
    """The environment that a text means.

    Raises:
        SettingsError: a folder or file is not there or no Python, or a requirement is none.
    """
    words = _words(text)
    if words == ["."]:
        return Interpreter(Path(sys.executable))
    if len(words) == 1:
        path = Path(words[0]).expanduser()
        if path.is_dir() and not _is_project(path):
            return Interpreter(_python_of(path))
        if path.is_file() and not _is_archive(words[0]):
            return Interpreter(_executable(path))
    return _requirements(words)


def name_of(package: str) -> str | None:
    """Canonical name of what a requirement names; None if only building it would tell."""
    requirement = requirement_of(package)
    if requirement is not None:
        return canonicalize_name(requirement.name)
    if package.endswith(".whl"):
        return parse_wheel_filename(package.rpartition("/")[2])[0]
    egg = re.search(r"#(?:.*&)?egg=([\w.-]+)", package)
    name = egg[1] if egg else _project_name(Path(package))
    return canonicalize_name(name) if name else None


def requirement_of(package: str) -> Requirement | None:
    """A requirement by name; None for a URL, a wheel or a folder."""
    try:
        return Requirement(package)
    except InvalidRequirement:
        return None


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SettingsError(f"{text!r} cannot be read ({error})", hint=_HINT) from None
    if not words:
        raise SettingsError("an environment has no name", hint=_HINT)
    return _joined(words)


def _joined(words: list[str]) -> list[str]:
    """`name @ URL` is one requirement, whether it was quoted or not."""
    joined: list[str] = []
    for word in words:
        if joined and not word.startswith("-") and (word[0:1] == "@" or joined[-1][-1:] == "@"):
            joined[-1] = f"{joined[-1]} {word}"
        else:
            joined.append(word)
    return joined


def _looks_like_a_path(word: str) -> bool:
    return bool(re.match(r"[.~]?[\w.-]*/", word)) and "://" not in word


def _is_archive(word: str) -> bool:
    return word.lower().endswith(_ARCHIVES)


def _is_project(folder: Path) -> bool:
    """Whether it holds a source tree, and is no virtual environment."""
    has_source = any((folder / name).is_file() for name in ("pyproject.toml", "setup.py"))
    return has_source and not (folder / "pyvenv.cfg").is_file()


def _project_name(folder: Path) -> str | None:
    try:
        about = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    project = about.get("project")
    name = project.get("name") if isinstance(project, dict) else None
    return name if isinstance(name, str) else None


def _python_of(folder: Path) -> Path:
    for place in ("bin/python", "Scripts/python.exe"):
        if (folder / place).is_file():
            return (folder / place).absolute()
    raise SettingsError(f"{folder} is no virtual environment: it has no bin/python", hint=_HINT)


def _executable(path: Path) -> Path:
    if not os.access(path, os.X_OK):
        raise SettingsError(f"{path} cannot be executed", hint=_HINT)
    return path.absolute()


def _requirements(words: list[str]) -> Requirements:
    packages: list[str] = []
    options: list[str] = []
    left = iter(words)
    for word in left:
        name, _, value = word.partition("=")
        if word in _SWITCHES:
            options.append(word)
        elif name in _VALUES:
            options += _option(name, value or next(left, ""))
        elif word.startswith("-"):
            allowed = ", ".join((*_SWITCHES, *_VALUES[:-1]))
            raise SettingsError(f"{word} is no option here", hint=f"options are {allowed}")
        else:
            packages.append(_package(word))
    if not packages:
        raise SettingsError("options alone make no environment", hint=_HINT)
    return Requirements(tuple(packages), tuple(options))


def _option(name: str, value: str) -> list[str]:
    if not value:
        raise SettingsError(f"{name} has no value", hint=f"write {name} VALUE")
    if name not in _FILES:
        return [name, value]
    file = Path(value).expanduser()
    if not file.is_file():
        raise SettingsError(f"{name} {value} does not exist", hint="name a constraints file")
    return ["--constraint", str(file.absolute())]


def _package(word: str) -> str:
    """A requirement by name or URL, or the absolute path of a wheel, an archive or a project."""
    is_file = _is_archive(word) and "://" not in word
    requirement = None if is_file else requirement_of(word)
    if requirement is not None or "://" in word:
        _check_file(word, (requirement.url or "") if requirement else word)
        return word
    path = Path(word).expanduser()
    if not path.exists() and (_is_archive(word) or _looks_like_a_path(word)):
        raise SettingsError(f"{word} does not exist", hint=_HINT)
    if _is_project(path) or (path.is_file() and _is_archive(word)):
        return _checked_wheel(str(path.absolute()))
    raise SettingsError(f"'{word}' is no requirement ({_complaint(word)})", hint=_HINT)


def _complaint(word: str) -> str:
    try:
        Requirement(word)
    except InvalidRequirement as error:
        return str(error).splitlines()[0]
    return "it is none"


def _check_file(word: str, url: str) -> None:
    path = file_of(url.removeprefix("git+"))
    if path is not None and not path.exists():
        raise SettingsError(f"{word} does not exist", hint=_HINT)


def _checked_wheel(path: str) -> str:
    try:
        name_of(path)
    except InvalidWheelFilename as error:
        raise SettingsError(
            f"{path} is no wheel ({error})", hint="keep the name of its file"
        ) from None
    return path
