"""JSON files of frozen dataclasses: written whole or not at all, and validated when read.

Readers need no lock, since a file is replaced in one step; who reads, changes and writes holds
`locked` meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import filelock
import msgspec
import psutil

from perfsuite.errors import OutputError, PerfsuiteError

Stored = TypeVar("Stored")
Migration = Callable[[dict[str, Any]], dict[str, Any]]
"""From a decoded document of an older schema to one of today's."""
LOCK_TIMEOUT_S = 30.0
"""A session holds a file for milliseconds: who waits longer waits for a process that hangs."""
_ELSEWHERE = (
    "free space, fix its permissions, or pass another folder (--perf-out, --perf-baselines)"
)
_ABANDONED_S = 60.0
"""Age from which a draft whose writer's process is gone belongs to nobody. Processes of other
containers seem to be gone too, but none of them writes for so long."""
_FORGOTTEN_S = 3600.0
"""The same, whatever process has the writer's number by now."""
_IN_USE = ".lock"
"""Lies in a scratch folder; its owner holds it."""
_DRAFT = re.compile(r"\..+\.([1-9][0-9]{0,6})\.\w{8}\.tmp")
"""`.NAME.PID.RANDOM.tmp`"""
_NEWEST_SCHEMA = 10**6
"""A schema above this is no schema of any perfsuite, but damage."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Drafts that killed writers have left in its folder are removed.

    Raises:
        OutputError: the folder cannot be written, or the disk is full; the old file stays.
    """
    draft = None
    try:
        target = Path(os.path.realpath(path))  # a link goes on pointing to what is shared
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(
            prefix=f".{target.name}.{os.getpid()}.", suffix=".tmp", dir=target.parent
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o644)  # mkstemp makes it 0600
        os.replace(draft, target)
        _sync_folder(target.parent)
        _remove_abandoned(target)
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise OutputError(f"cannot write {path} ({why(error)})", hint=_ELSEWHERE) from None
    finally:
        if draft is not None:  # gone already, if all went well; left by Ctrl-C too
            Path(draft).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a renaming last through a power cut, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_abandoned(path: Path) -> None:
    """Remove drafts of killed writers beside a file, of whichever file they are."""
    for draft in path.parent.glob(".*.tmp"):
        name = _DRAFT.fullmatch(draft.name)
        with contextlib.suppress(OSError):
            if name is None:
                continue
            age_s = time.time() - draft.stat().st_mtime
            gone = age_s > _ABANDONED_S and not psutil.pid_exists(int(name[1]))
            if gone or age_s > _FORGOTTEN_S:
                draft.unlink()


@contextlib.contextmanager
def locked(path: Path, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold a file against other sessions while it is read, changed and written.

    The kernel lets go of the lock when a process ends, however it ends: the lock file `.NAME.lock`
    that lies beside means nothing by itself.

    Args:
        path: the file.
        timeout_s: seconds to wait for another session.

    Raises:
        OutputError: another session holds it for too long, or the folder cannot be written.
    """
    target = Path(os.path.realpath(path))
    lock_path = target.with_name(f".{target.name}.lock")
    lock = filelock.FileLock(lock_path, timeout=timeout_s)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(poll_interval=0.01)
    except filelock.Timeout:
        raise OutputError(
            f"{path} is in use: {_holder(lock_path)} has held {lock_path} for {timeout_s:g} s",
            hint="wait for that session, or end it",
        ) from None
    except (OSError, ValueError, NotImplementedError) as error:
        raise OutputError(f"cannot write {path} ({why(error)})", hint=_ELSEWHERE) from None
    try:
        yield
    finally:
        lock.release()


def _holder(lock_path: Path) -> str:
    """The process that holds a lock, where the kernel lists it (Linux)."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        inode = str(lock_path.stat().st_ino)
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()  # 1: FLOCK ADVISORY WRITE 4242 fd:01:1234 0 EOF
            if fields[1] == "FLOCK" and fields[5].split(":")[-1] == inode:
                return f"process {fields[4]}"
    return "another process"


@contextlib.contextmanager
def scratch_folder(prefix: str, parent: Path) -> Iterator[Path]:
    """A folder that is gone afterwards; those that killed processes have left go with it.

    Args:
        prefix: of its name, which only such folders have.
        parent: where it is made.
    """
    for left in parent.glob(f"{prefix}*"):
        _remove_ownerless(left)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as name:
        lock = filelock.FileLock(Path(name, _IN_USE))
        with lock:
            yield Path(name)


def _remove_ownerless(folder: Path) -> None:
    """Remove a scratch folder unless a process holds it; the kernel knows."""
    with contextlib.suppress(OSError):
        if time.time() - folder.stat().st_mtime < _ABANDONED_S:
            return  # perhaps its owner is about to lock it
        lock = filelock.FileLock(folder / _IN_USE, timeout=0)
        with contextlib.suppress(filelock.Timeout), lock:
            shutil.rmtree(folder, ignore_errors=True)


def check_writable(folder: Path, needed_bytes: int = 0) -> None:
    """Find out before the slow part whether a folder is one, or can be made, and has room.

    Nothing is left behind, and no folder is made.

    Raises:
        OutputError: it cannot, or has not.
    """
    try:
        found = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
        with tempfile.TemporaryFile(dir=found):
            pass
        free_bytes = shutil.disk_usage(found).free
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {folder} ({why(error)})", hint=_ELSEWHERE) from None
    if free_bytes < needed_bytes:
        raise OutputError(
            f"{folder} has {free_bytes >> 20} MiB free, this run needs {needed_bytes >> 20} MiB",
            hint="free space, or pass a folder elsewhere with --perf-out",
        )


def check_outputs(*files: Path) -> None:
    """Find out before the slow part whether files can be written, as new ones or over the old.

    Raises:
        OutputError: something else is in the way, or a folder cannot be written.
    """
    for path in files:
        check_writable(path.parent)
        if path.exists() and not path.is_file():
            raise OutputError(f"cannot write {path} (it is no file)", hint=_ELSEWHERE)


def why(error: Exception) -> str:
    """What the system has against a file, in its own words."""
    return str(getattr(error, "strerror", None) or error)


def named_from(folder: Path, path: Path) -> str:
    """A file below a folder from that folder's name on: true wherever the folder lies."""
    return path.relative_to(folder.parent).as_posix()


def write_json(path: Path, value: object) -> None:
    """Write a dataclass as indented JSON."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def read_json(
    path: Path,
    kind: type[Stored],
    *,
    schema: int,
    error: type[PerfsuiteError],
    hint: str,
    migrate: Migration = lambda document: document,
) -> Stored:
    """Read and validate a JSON file.

    Args:
        path: the file.
        kind: the dataclass that it holds.
        schema: the newest schema that this version understands.
        error: what to raise.
        hint: how a file that cannot be used is mended.
        migrate: brings a document of an older schema up to `schema`.

    Raises:
        PerfsuiteError: of type `error`: not readable, not complete, of a newer schema, or not
            valid.
    """
    try:
        content = read_file(path)
    except (OSError, ValueError) as problem:
        raise error(f"cannot read {path} ({why(problem)})", hint=hint) from None
    try:
        document = _decoded(content)
        found = document["schema"]
        if found < schema:
            return msgspec.convert(migrate(document), type=kind)
        if found == schema:
            return msgspec.json.decode(content, type=kind)
    except Exception as problem:
        # Whichever way reading it breaks, the document is at fault: it may hold anything.
        said = str(problem) or type(problem).__name__
        raise error(f"{path} is not valid ({said})", hint=hint) from None
    raise error(
        f"{path} has schema {found}, this perfsuite reads up to {schema}",
        hint="upgrade perfsuite: pip install -U perfsuite",
    )


def read_file(path: Path) -> bytes:
    """The content of a file; reading a pipe or a device would never end.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no file, or the path is none.
    """
    if path.exists() and not path.is_dir() and not path.is_file():
        raise ValueError("it is no file")
    return path.read_bytes()


def _decoded(content: bytes) -> dict[str, Any]:
    """A JSON object with a schema number, in which no key stands twice."""
    document = msgspec.json.decode(content)
    json.loads(content, object_pairs_hook=_check_keys)
    found = document.get("schema") if isinstance(document, dict) else None
    if type(found) is not int or not 0 < found <= _NEWEST_SCHEMA:
        raise ValueError("it has no schema number")
    checked: dict[str, Any] = document
    return checked


def _check_keys(pairs: list[tuple[str, Any]]) -> None:
    """Refuse a key that stands twice, as after a bad merge: decoders drop one in silence."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"key '{name}' stands twice in one object")
        seen.add(name)
