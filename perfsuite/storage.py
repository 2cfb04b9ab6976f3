"""JSON files of frozen dataclasses: written whole or not at all, and validated when read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from perfsuite.errors import OutputError, PerfsuiteError

Stored = TypeVar("Stored")
Migration = Callable[[dict[str, Any]], dict[str, Any]]
"""From a decoded document of an older schema to one of today's."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        OutputError: the folder cannot be written, or the disk is full; the old file stays.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes it 0600
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror or error})",
            hint="free space, mend its permissions, or pass another folder "
            "(--perf-out, --perf-baselines)",
        ) from None
    finally:
        if temporary is not None:  # gone already, if all went well; left by Ctrl-C too
            Path(temporary).unlink(missing_ok=True)


def check_writable(folder: Path, needed_bytes: int) -> None:
    """Find out before the slow part whether a folder can be written and has room.

    Raises:
        OutputError: it cannot, or has not.
    """
    probe = folder / ".perfsuite-probe"
    write_whole(probe, b"")
    probe.unlink(missing_ok=True)
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise OutputError(
            f"{folder} has {free_bytes >> 20} MiB free, this run needs {needed_bytes >> 20} MiB",
            hint="free space, or pass a folder elsewhere with --perf-out",
        )


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
        content = path.read_bytes()
        document = _checked_schema(content, path, schema, error)
        if document["schema"] < schema:
            return msgspec.convert(migrate(document), type=kind)
        return msgspec.json.decode(content, type=kind)
    except OSError as problem:
        raise error(f"cannot read {path} ({problem.strerror})", hint=hint) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as problem:
        raise error(f"{path} is not valid ({problem})", hint=hint) from None


def _checked_schema(
    content: bytes, path: Path, schema: int, error: type[PerfsuiteError]
) -> dict[str, Any]:
    head: Any = msgspec.json.decode(content)
    found = head.get("schema") if isinstance(head, dict) else None
    if not isinstance(found, int) or isinstance(found, bool):
        raise error(f"{path} has no schema number", hint="restore it from version control")
    if found > schema:
        raise error(
            f"{path} has schema {found}, this perfsuite reads up to {schema}",
            hint="upgrade perfsuite: pip install -U perfsuite",
        )
    checked: dict[str, Any] = head
    return checked
