"""Removing what a machine no longer needs from its folder of records.

Baselines, references, thresholds and the list of first baselines are never touched. Of records, the
newest are kept whatever their age, and so is whatever is younger than the age that is asked for, so
that a session under way loses nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from perfsuite.errors import OutputError
from perfsuite.storage import locked, why

RECORDS = ("runs", "gates", "bisections")
DAY_S = 86400.0
_LATEST = "latest.json"


@dataclass(frozen=True)
class Pruned:
    """What was removed of one kind.

    Attributes:
        kind: name of its folder.
        removed: how many.
        kept: how many are left.
        freed_bytes: room that they took.
    """

    kind: str
    removed: int
    kept: int
    freed_bytes: int


@dataclass(frozen=True)
class _Entry:
    """Files that belong together, and when they were last used, in seconds since the epoch."""

    paths: tuple[Path, ...]
    used: float

    @property
    def size_bytes(self) -> int:
        files = (file for path in self.paths for file in (path, *path.rglob("*")))
        return sum(file.lstat().st_size for file in files if not file.is_dir())


def prune(
    out: Path, keep: int, days: float, *, dry: bool = False, now: float | None = None
) -> tuple[Pruned, ...]:
    """Remove old records, environments, compiled code and what killed sessions have left.

    Args:
        out: folder of records.
        keep: records of each kind that stay, whatever their age.
        days: what was used within so many days stays.
        dry: only say what would be removed.
        now: seconds since the epoch.

    Raises:
        OutputError: something cannot be removed, or somebody else is pruning.
    """
    before = (time.time() if now is None else now) - days * DAY_S
    if not out.is_dir():
        raise OutputError(f"{out} is no folder", hint="name the folder of records with --out")
    with locked(out / "prune"):
        try:
            records = [
                _remove(kind, list(_records(out / kind)), keep, before, dry) for kind in RECORDS
            ]
            environments = _remove_environments(list(_environments(out / "envs")), before, dry)
            cache = _remove("compiled code", list(_cache(out)), 0, before, dry)
            left = _remove("unfinished recordings", list(_recordings(out)), 0, before, dry)
        except OSError as error:
            raise OutputError(
                f"{error.filename or out} cannot be removed ({why(error)})",
                hint="fix its permissions",
            ) from None
    return (*records, environments, cache, left)


def _remove(kind: str, entries: list[_Entry], keep: int, before: float, dry: bool) -> Pruned:
    """Remove entries that are old and not among the newest."""
    newest_first = sorted(entries, key=lambda entry: entry.used, reverse=True)
    old = [entry for entry in newest_first[keep:] if entry.used < before]
    freed = sum(entry.size_bytes for entry in old)
    for entry in [] if dry else old:
        _delete(entry)
    return Pruned(kind, len(old), len(entries) - len(old), freed)


def _remove_environments(entries: list[_Entry], before: float, dry: bool) -> Pruned:
    """Remove environments that nobody has asked for since, unless one is being built."""
    removed, freed = 0, 0
    for entry in entries:
        home = entry.paths[0]
        lock = FileLock(home.with_name(f".{home.name}.lock"))
        if entry.used >= before:
            continue
        try:
            with lock.acquire(timeout=0):
                removed, freed = removed + 1, freed + entry.size_bytes
                if not dry:
                    _delete(entry)
        except Timeout:
            continue
    return Pruned("envs", removed, len(entries) - removed, freed)


def _delete(entry: _Entry) -> None:
    for path in entry.paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _records(folder: Path) -> Iterator[_Entry]:
    """Records with the pictures or logs that lie beside them in a folder of the same name."""
    files = [path for path in folder.glob("*.json") if path.name != _LATEST]
    for path in files:
        beside = path.with_suffix("")
        paths = (path, beside) if beside.is_dir() else (path,)
        yield _Entry(paths, max(each.stat().st_mtime for each in paths))
    known = {path.stem for path in files}
    for path in folder.glob("*"):
        if path.is_dir() and path.name not in known:  # of a session that wrote no record
            yield _Entry((path,), path.stat().st_mtime)


def _environments(folder: Path) -> Iterator[_Entry]:
    for home in folder.glob("*"):
        if home.is_dir():
            manifest = home / "environment.json"
            used = manifest if manifest.is_file() else home
            yield _Entry((home,), used.stat().st_mtime)


def _cache(out: Path) -> Iterator[_Entry]:
    """All compiled code as one: parts of it name each other."""
    folder = out / "cache" / "inductor"
    if folder.is_dir():
        yield _Entry((folder,), max(_times(folder)))


def _times(folder: Path) -> Iterator[float]:
    yield folder.stat().st_mtime
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found = os.lstat(os.path.join(parent, name))
                yield max(found.st_mtime, found.st_atime)


def _recordings(out: Path) -> Iterator[_Entry]:
    """Scratch folders of `perfsuite record` that was killed."""
    for path in out.glob("recording-*"):
        yield _Entry((path,), max(_times(path)))
