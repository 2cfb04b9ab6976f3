"""What a person may write after --control and --treatment, and what is meant by it."""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from perfsuite.errors import SettingsError

_HINT = (
    "name a virtual environment's folder, a python executable, '.' for this one, "
    'or requirements such as "torch==2.14.1"'
)
_SWITCHES = ("--pre", "--no-index")
_VALUES = ("--index-url", "--extra-index-url", "--find-links", "--constraints", "--constraint")
_FILES = ("--constraints", "--constraint")


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
        packages: requirements, as pip takes them.
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
        if path.is_dir():
            return Interpreter(_python_of(path))
        if path.is_file() and path.suffix != ".whl":
            return Interpreter(_executable(path))
        if _looks_like_a_path(words[0]):
            raise SettingsError(f"{words[0]} does not exist", hint=_HINT)
    return _requirements(words)


def name_of(package: str) -> str:
    """Canonical name of what a requirement or a wheel's path names."""
    if package.endswith(".whl"):
        return parse_wheel_filename(Path(package).name)[0]
    return canonicalize_name(Requirement(package).name)


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SettingsError(f"{text!r} cannot be read ({error})", hint=_HINT) from None
    if not words:
        raise SettingsError("an environment has no name", hint=_HINT)
    return words


def _looks_like_a_path(word: str) -> bool:
    return bool(re.match(r"[.~]?[\w.-]*/", word)) and not word.endswith(".whl")


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
    if word.endswith(".whl"):
        file = Path(word).expanduser()
        if not file.is_file():
            raise SettingsError(f"{word} does not exist", hint="name a wheel that is there")
        return str(file.absolute())
    try:
        Requirement(word)
    except InvalidRequirement as error:
        said = str(error).splitlines()[0]
        raise SettingsError(f"'{word}' is no requirement ({said})", hint=_HINT) from None
    return word
