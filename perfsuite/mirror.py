"""A folder whose home is a URL: copied here before a session, and what has changed back after it.

A fresh machine each night has no baselines of its own. With `--perf-out s3://BUCKET/FOLDER` they
lie in a bucket, behind whatever `fsspec` can reach, and a session works on a copy. Each file is
replaced whole. Nothing is taken from the bucket, and nothing is put over what somebody else has
put there since the copy was made: that stays, and this session's file is put beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from perfsuite.errors import OutputError, head_of

# What reads and writes files is imported where a copy is made: settings ask this module for what a
# URL is, in sessions that measure nothing too.

SCHEMA = 1
STATE = ".mirror.json"
"""What was the same on both sides when they last met."""
_URL = re.compile(r"[a-z][a-z0-9+.-]*://.+", re.DOTALL)
_KEPT_HERE = frozenset(
    {"cache", "envs", "history.sqlite", "history.sqlite-wal", "history.sqlite-shm"}
)
"""What is of no use on another machine, and a database, of which two copies cannot be joined: the
records that it was made of are sent, and machines that share a history name a server."""
_ONLY_SENT = frozenset({"runs", "gates", "bisections", "selftest"})
"""Records: no session reads those of others, and their names are their own."""
_OBJECT_STORES = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "memory"}
)
"""Protocols that put a file whole or not at all."""
_LATER = ("manifest.json",)
"""Files that list others: sent after them and fetched before, so that what they list is there."""
_EXTRAS = {"s3": "s3", "s3a": "s3"}


def is_url(text: str) -> bool:
    """Whether an option's value is a URL and no path."""
    return _URL.fullmatch(text) is not None


def mirror_folder(url: str, root: Path) -> Path:
    """Where a URL's copy lies: the same for every session in a project."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    return root / ".perfsuite" / "mirror" / digest


@dataclass(frozen=True)
class _State:
    schema: int
    url: str
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mirror:
    """A URL and the folder that its copy lies in.

    Attributes:
        url: as fsspec takes it.
        folder: of the copy.
    """

    url: str
    folder: Path

    def pull(self) -> None:
        """Bring the copy up to date, and see that the URL can be written.

        What a session has changed here and could not send stays, and is sent by the next push.

        Raises:
            OutputError: the URL cannot be reached or written, or a file has changed on both sides.
        """
        from perfsuite.storage import locked, write_json

        with self._reached() as remote, locked(self.folder / STATE):
            remote.check_writable()
            before = self._state()
            there = [path for path in remote.files() if _is_fetched(path)]
            state = dict(before.files)
            try:
                for path in sorted(there, key=_fetched_first):
                    state[path] = self._take(path, remote.read(path), before.files.get(path))
                for path in before.files.keys() - set(there):
                    if _is_fetched(path):
                        self._let_go(path, state)
            finally:
                write_json(self.folder / STATE, replace(before, files=state))

    def push(self) -> None:
        """Send what has changed here.

        Raises:
            OutputError: the URL cannot be reached, or a file has changed there since it was
                fetched; all others are sent nevertheless.
        """
        from perfsuite.storage import locked, write_json

        refused = []
        with self._reached() as remote, locked(self.folder / STATE):
            state = self._state()
            for path in sorted(self._own_files(), key=_sent_last):
                content = (self.folder / path).read_bytes()
                digest, known = _digest(content), state.files.get(path)
                if digest == known:
                    continue
                beside = self._send(remote, path, content, known)
                if beside is not None:
                    refused.append(beside)
                    continue
                state = replace(state, files=state.files | {path: digest})
                write_json(self.folder / STATE, state)
        if refused:
            raise OutputError(
                f"{self.url} was changed by somebody else meanwhile: what is there stays, this "
                f"session's lies beside it: {', '.join(refused)}",
                hint="one session at a time may record there; move the right one in its place",
            )

    def _take(self, path: str, content: bytes, known: str | None) -> str:
        """Put a fetched file in its place; the digest that both sides had in common at last."""
        from perfsuite.storage import write_whole

        target, there = self.folder / path, _digest(content)
        here = _digest(target.read_bytes()) if target.is_file() else None
        if here == there:
            return there
        if here is None or here == known:
            write_whole(target, content)
            return there
        if there == known:
            return there  # changed here alone: sent by the next push
        raise OutputError(
            f"{path} has changed both in {self.url} and in {self.folder}",
            hint=f"delete {target} to take what is there, or send it by hand",
        )

    def _let_go(self, path: str, state: dict[str, str]) -> None:
        """What was deleted there is deleted here, unless it has changed here since."""
        target, known = self.folder / path, state.pop(path)
        if target.is_file() and _digest(target.read_bytes()) == known:
            target.unlink()

    @staticmethod
    def _send(remote: _Remote, path: str, content: bytes, known: str | None) -> str | None:
        """Put a file there; where somebody else's lies, beside it, by the name that is returned."""
        if _top(path) in _ONLY_SENT:
            remote.write(path, content)
            return None
        found = remote.read_if_there(path)
        is_free = found is None if known is None else found is not None and _digest(found) == known
        if found == content:
            return None
        if is_free and remote.write(path, content, only_if_new=known is None):
            return None
        beside = f"{path}.{_digest(content)[:8]}.conflict"
        remote.write(beside, content)
        return beside

    def _own_files(self) -> Iterator[str]:
        for file in self.folder.rglob("*"):
            path = file.relative_to(self.folder).as_posix()
            hidden = any(part.startswith(".") for part in PurePosixPath(path).parts)
            unfinished = _top(path) in _KEPT_HERE or _top(path).startswith("recording-")
            if file.is_file() and not hidden and not unfinished:
                yield path

    def _state(self) -> _State:
        from perfsuite.storage import read_json

        path = self.folder / STATE
        if not path.is_file():
            return _State(SCHEMA, self.url)
        return read_json(
            path,
            _State,
            schema=SCHEMA,
            error=OutputError,
            hint=f"delete {self.folder}: it is a copy of {self.url}",
        )

    @contextlib.contextmanager
    def _reached(self) -> Iterator[_Remote]:
        """The other side; whatever its file system raises becomes one line."""
        try:
            yield _Remote.at(self.url)
        except OutputError:
            raise
        except ImportError as error:
            protocol = self.url.partition("://")[0]
            extra = _EXTRAS.get(protocol)
            install = f"pip install 'perfsuite[{extra}]'" if extra else "install what it names"
            problem = f"{self.url} cannot be reached ({head_of(error)})"
            raise OutputError(problem, hint=install) from None
        except Exception as error:  # every file system of fsspec has errors of its own
            raise OutputError(
                f"{self.url} cannot be reached or written ({head_of(error)})",
                hint=f"check the URL and its credentials; what was measured lies in {self.folder}",
            ) from error


@dataclass(frozen=True)
class _Remote:
    """Files below a URL, by their paths from there."""

    system: Any
    root: str
    protocol: str

    @classmethod
    def at(cls, url: str) -> _Remote:
        from fsspec.core import url_to_fs

        system, root = url_to_fs(url, skip_instance_cache=True)
        return cls(system, str(root).rstrip("/"), url.partition("://")[0])

    def files(self) -> tuple[str, ...]:
        """All that may be fetched."""
        self.system.invalidate_cache()
        if not self.system.exists(self.root):
            return ()
        found = self.system.find(self.root)
        return tuple(str(path)[len(self.root) :].lstrip("/") for path in found)

    def read(self, path: str) -> bytes:
        content: bytes = self.system.cat_file(f"{self.root}/{path}")
        return content

    def read_if_there(self, path: str) -> bytes | None:
        self.system.invalidate_cache()
        try:
            return self.read(path)
        except FileNotFoundError:
            return None

    def write(self, path: str, content: bytes, *, only_if_new: bool = False) -> bool:
        """Write a file whole; whether it was written, where it may only be a new one."""
        from perfsuite.storage import write_whole

        target = f"{self.root}/{path}"
        if self.protocol in ("file", "local"):
            if only_if_new and Path(target).exists():
                return False
            write_whole(Path(target), content)
        elif self.protocol in _OBJECT_STORES:
            try:
                self.system.pipe_file(
                    target, content, mode="create" if only_if_new else "overwrite"
                )
            except FileExistsError:
                return False
        else:
            draft = f"{target}.{secrets.token_hex(4)}.tmp"
            self.system.makedirs(target.rpartition("/")[0], exist_ok=True)
            self.system.pipe_file(draft, content)
            self.system.mv(draft, target)
        return True

    def check_writable(self) -> None:
        name = f".writable-{secrets.token_hex(4)}"
        self.write(name, b"")
        self.system.rm_file(f"{self.root}/{name}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _top(path: str) -> str:
    return path.partition("/")[0]


def _is_fetched(path: str) -> bool:
    hidden = any(part.startswith(".") for part in path.split("/"))
    return (
        not hidden and _top(path) not in _KEPT_HERE | _ONLY_SENT and not path.endswith(".conflict")
    )


def _fetched_first(path: str) -> tuple[bool, str]:
    return not path.endswith(_LATER), path


def _sent_last(path: str) -> tuple[bool, str]:
    return path.endswith(_LATER), path
