"""A PostgreSQL server of the tests' own: in a temporary folder, on a socket there, without TCP."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_STARTS_S = 60


def _programs() -> Path:
    """Folder of the server's programs; Debian does not put it on the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not folders:
        pytest.skip("no PostgreSQL server is installed (initdb)")
    return folders[-1].parent


def _user() -> str | None:
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {each.pw_name for each in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names:
            return name
    pytest.skip("PostgreSQL does not run as root, and there is no other user")


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """URL of a fresh server that is stopped and removed afterwards."""
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    programs, user = _programs(), _user()
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if user is not None:
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        done = subprocess.run(
            command, capture_output=True, text=True, user=user, cwd=folder, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    data, control = str(folder / "data"), str(programs / "pg_ctl")
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    try:
        run(str(programs / "initdb"), "-D", data, "-U", "perf", "-A", "trust", "--no-sync")
        log = str(folder / "log")
        run(control, "-D", data, "-l", log, "-o", options, "-w", "-t", str(_STARTS_S), "start")
        try:
            yield f"postgresql://perf@/postgres?host={folder}"
        finally:
            run(control, "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
