"""The C++ compiler of the compiled tiers and the folder of what it has compiled, tried beforehand.

Inductor takes the first word of `CXX` or g++, and splits its command at spaces, so that neither the
folder of compiled code, nor the temporary folder, nor torch's own may have one in its name. What
stops it comes up minutes later and forty lines deep; a program of three lines brings it up at once.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from perfsuite.errors import CompilerMissing, OutputError, PerfsuiteError, compilers_word

COMPILE_CACHE = "TORCHINDUCTOR_CACHE_DIR"
"""Environment variable that names inductor's compile cache."""
_LEAVE_OUT = "leave the compiled tiers out: --perf-tiers fp32,bf16,sdpa"
_PROGRAM = '#include <Python.h>\n#include <cmath>\nextern "C" int perfsuite() { return 1; }\n'
_UNFIT = re.compile(r"[\s'\"\\]")
_PATIENCE_S = 120.0


def compile_cache(out: Path) -> Path:
    """The compile cache under a folder, by a path that a compiler's command can hold.

    Raises:
        OutputError: it has no such path.
    """
    return without_spaces(out / "cache" / "inductor")


def without_spaces(folder: Path) -> Path:
    """A folder by a path that a compiler's command can hold: if need be, a link to it.

    The link lies in the temporary folder, always in the same place for the same folder.

    Raises:
        OutputError: the link cannot be made.
    """
    if not _UNFIT.search(str(folder)):
        return folder
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    link = Path(tempfile.gettempdir(), f"perfsuite-{os.getuid()}-{digest}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink() or Path(os.readlink(link)) != folder:
            link.unlink(missing_ok=True)
            link.symlink_to(folder)
        if link.lstat().st_uid != os.getuid():
            raise PermissionError(0, "it is somebody else's")
    except OSError as error:
        problem = f"{folder} has a space in it and cannot be linked to {link} ({error.strerror})"
        raise OutputError(problem, hint="pass --perf-out without one") from None
    return link


def check_libraries(environment: Path | None = None) -> None:
    """See that a compiler's command can hold the path of the libraries that it links.

    Args:
        environment: folder of a Python environment; None for the torch of this process.

    Raises:
        CompilerMissing: it has a space or a quote in it.
    """
    found = importlib.util.find_spec("torch") if environment is None else None
    path = Path(found.origin).parent if found and found.origin else environment
    if path is not None and _UNFIT.search(str(path)):
        problem = f"the compiler's command cannot hold the path of torch's libraries in '{path}'"
        hint = f"make the environment in a folder without spaces, or {_LEAVE_OUT}"
        raise CompilerMissing(problem, hint=hint)


def check_compiler(folder: Path) -> None:
    """Compile and load three lines of C++ in the folder that compiled code will be kept in.

    Code that an earlier session has left half written is removed: inductor then makes it again.

    Args:
        folder: the compile cache, or the temporary folder that a gate's caches are made in.

    Raises:
        CompilerMissing: there is no compiler, or it cannot compile; its first error is named.
        OutputError: the folder cannot be written, or nothing can be loaded from it.
    """
    compiler = _compiler()
    for each in (folder, Path(tempfile.gettempdir())):
        if _UNFIT.search(str(each)):
            problem = f"the compiler's command cannot hold the path '{each}'"
            raise OutputError(problem, hint=f"set TMPDIR or {COMPILE_CACHE} to one without spaces")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder != Path(tempfile.gettempdir()):  # a gate's: others' files lie there too
            remove_damaged(folder)
        with tempfile.TemporaryDirectory(prefix=".perfsuite-", dir=folder) as scratch:
            _compile(compiler, Path(scratch))
            _load(Path(scratch), folder)
    except OSError as error:
        problem = f"compiled code cannot be kept in {folder} ({error.strerror})"
        raise OutputError(problem, hint=_elsewhere(folder)) from None


def remove_damaged(folder: Path) -> tuple[Path, ...]:
    """Remove compiled code that is not whole; which was removed.

    What another process is compiling at this moment is not whole either: it holds inductor's lock.
    """
    if sys.platform != "linux":
        return ()
    suspects = (path for kind in ("*.so", "*.o") for path in folder.rglob(kind))
    return tuple(path for path in suspects if not is_whole(path) and _removed(path, folder))


def is_whole(path: Path) -> bool:
    """Whether an ELF file is as long as its header says: the section table is what stands last."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
        size = path.stat().st_size
    except FileNotFoundError:
        return True
    if len(head) < 64 or not head.startswith(b"\x7fELF"):
        return False
    order = ">" if head[5] == 2 else "<"
    (offset,) = struct.unpack_from(f"{order}Q", head, 0x28)
    entry, count = struct.unpack_from(f"{order}HH", head, 0x3A)
    return bool(size >= offset + entry * count)


def _removed(path: Path, folder: Path) -> bool:
    locks = folder / "locks"
    locks.mkdir(exist_ok=True)
    try:
        with FileLock(locks / f"{path.name.partition('.')[0]}.lock", timeout=0):
            if not is_whole(path):
                path.unlink(missing_ok=True)
            return True
    except Timeout:
        return False


def _compiler() -> str:
    """The compiler that inductor will take."""
    usual = "clang++" if sys.platform == "darwin" else "g++"
    chosen = os.environ.get("CXX", usual)
    if shutil.which(chosen):
        return chosen
    other = next((each for each in ("g++", "clang++") if shutil.which(each)), None)
    mend = f"set CXX={other}" if other else "install g++, set CXX"
    problem = f"no C++ compiler ('{chosen}') for the compiled tiers"
    raise CompilerMissing(problem, hint=f"{mend}, or {_LEAVE_OUT}")


def _compile(compiler: str, scratch: Path) -> None:
    source = scratch / "three_lines.cpp"
    source.write_text(_PROGRAM)
    command = [compiler, str(source), "-shared", "-fPIC", "-o", str(scratch / "three_lines.so")]
    command += [f"-I{sysconfig.get_path('include')}"]
    command += ["-fopenmp"] if sys.platform == "linux" else []
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            env=os.environ | {"LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _refused(compiler, f"no answer for {_PATIENCE_S:g} s") from None
    if done.returncode != 0:
        raise _refused(compiler, compilers_word(f"{done.stderr}\n{done.stdout}"))


def _refused(compiler: str, said: str) -> PerfsuiteError:
    mend = "install Python's headers (python3-dev)" if "Python.h" in said else "fix it, set CXX"
    if "No space left" in said:
        return OutputError(f"{compiler} cannot compile ({said})", hint="free space, or set TMPDIR")
    return CompilerMissing(f"{compiler} cannot compile ({said})", hint=f"{mend}, or {_LEAVE_OUT}")


def _load(scratch: Path, folder: Path) -> None:
    try:
        ctypes.CDLL(str(scratch / "three_lines.so"))
    except OSError as error:
        problem = f"compiled code cannot be loaded from {folder} ({str(error).rpartition(': ')[2]})"
        raise OutputError(
            problem, hint=_elsewhere(folder, "its file system may be noexec: ")
        ) from None


def _elsewhere(folder: Path, why: str = "") -> str:
    temporary = Path(tempfile.gettempdir())
    mend = "TMPDIR" if folder == temporary else f"--perf-out, or {COMPILE_CACHE},"
    return f"{why}set {mend} to a folder that can be written and run from"
