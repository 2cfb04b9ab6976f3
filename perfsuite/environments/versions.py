"""Versions of the package that is bisected: which one an environment holds, which lie between."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from perfsuite.children import run_child
from perfsuite.environments.installer import Run, complaint, pip_command
from perfsuite.environments.spec import Requirements, Spec, name_of, requirement_of
from perfsuite.errors import EnvironmentBroken, SettingsError

_LISTED = "Available versions:"
_NOT_FOR_LISTING = "--constraint"


def package_of(good: Spec, bad: Spec) -> str:
    """Canonical name of the package that differs: the first one that either SPEC names.

    Raises:
        SettingsError: neither names one, or they name different ones.
    """
    hint = 'name versions of one package: --good "torch==2.13.0" --bad "torch==2.14.1"'
    specs = [spec for spec in (good, bad) if isinstance(spec, Requirements)]
    names = {_first_name(spec) for spec in specs}
    if not names:
        raise SettingsError("two environments have no versions between them", hint=hint)
    if len(names) > 1:
        raise SettingsError(f"{' and '.join(sorted(names))} are two packages", hint=hint)
    return names.pop()


def _first_name(spec: Requirements) -> str:
    package = spec.packages[0]
    name = name_of(package)
    if name is None:
        hint = f"write it as 'NAME @ {package}'" if "://" in package else "name a release of it"
        raise SettingsError(f"{package} does not say which package it is", hint=hint)
    return name


def at_version(spec: Requirements, version: str) -> Requirements:
    """The same SPEC with its first package at another version."""
    pinned = f"{_first_name(spec)}=={version}"
    return Requirements((pinned, *spec.packages[1:]), spec.options)


def pinned_version(spec: Spec) -> str | None:
    """The version that a SPEC pins its first package to; None if it pins none."""
    requirement = requirement_of(spec.packages[0]) if isinstance(spec, Requirements) else None
    if requirement is None:
        return None
    pins = [
        each.version
        for each in requirement.specifier
        if each.operator == "==" and _is_version(each.version)
    ]
    return Version(pins[0]).public if pins else None


def installed_version(python: Path, package: str, run: Run = run_child) -> str:
    """Version of a package in an environment, without its local part ('+cpu').

    Raises:
        EnvironmentBroken: the environment does not hold it.
    """
    code = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    command = [str(python), "-I", "-c", code, package]
    done = run(command, capture_output=True, text=True, check=False)
    try:
        return Version(done.stdout.strip()).public
    except InvalidVersion:
        problem = f"{python} does not hold {package}"
        raise EnvironmentBroken(problem, hint="name an environment that does") from None


def released_versions(
    package: str, options: Iterable[str], run: Run = run_child
) -> tuple[str, ...]:
    """Versions that an index offers for this Python, in no order; development versions included.

    Args:
        package: its name.
        options: of pip, as in a SPEC; they name the index.
        run: runs a command.

    Raises:
        EnvironmentBroken: pip cannot list them.
    """
    command = [*pip_command(), "index", "versions", "--disable-pip-version-check"]
    wanted = ["--pre", *_for_listing(options), package]
    done = run([*command, *wanted], capture_output=True, text=True, check=False)
    listed = [line for line in done.stdout.splitlines() if line.startswith(_LISTED)]
    if done.returncode != 0 or not listed:
        raise EnvironmentBroken(
            f"pip cannot list the versions of {package} ({complaint(done.stderr)})",
            hint='name their index: --bad "--index-url URL torch==2.14.1"',
        )
    return tuple(text.strip() for text in listed[0].removeprefix(_LISTED).split(","))


def between(released: Iterable[str], good: str, bad: str) -> tuple[str, ...]:
    """Released versions from good to bad, oldest first, both included.

    Of versions that differ in their local part only ('2.14.1+cpu') one is taken. Development
    versions and release candidates count if either end is one.

    Raises:
        SettingsError: good is not older than bad.
    """
    oldest, newest = Version(good), Version(bad)
    if not oldest < newest:
        raise SettingsError(
            f"--good is version {good}, which is not older than --bad, {bad}",
            hint="bisect looks for the version since when something is worse: give the older first",
        )
    wants_early = oldest.is_prerelease or newest.is_prerelease
    known = {Version(Version(text).public) for text in released if _is_version(text)}
    inner = sorted(
        each for each in known if oldest < each < newest and (wants_early or not each.is_prerelease)
    )
    return (good, *(str(each) for each in inner), bad)


def recorded_version(packages: dict[str, str], package: str) -> str | None:
    """Version of a package among those that an environment was found to hold."""
    held = (version for name, version in packages.items() if canonicalize_name(name) == package)
    version = next(held, None)
    return None if version is None else Version(version).public


def _for_listing(options: Iterable[str]) -> list[str]:
    """Options of a SPEC that `pip index` knows, too."""
    kept: list[str] = []
    words = iter(options)
    for word in words:
        if word == _NOT_FOR_LISTING:
            next(words, None)
        elif word != "--pre":
            kept.append(word)
    return kept


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
