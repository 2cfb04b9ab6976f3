"""The compiler that is tried beforehand: real ones, and scripts that play broken ones."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

from perfsuite.compiler import (
    check_compiler,
    check_libraries,
    compile_cache,
    is_whole,
    remove_damaged,
    without_spaces,
)
from perfsuite.errors import CompilerMissing, OutputError, head_of

NO_HEADERS = """three_lines.cpp:1:10: fatal error: Python.h: No such file or directory
    1 | #include <Python.h>
compilation terminated."""


def played(folder: Path, name: str, *lines: str) -> Path:
    """A compiler that is a shell script of these lines."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    program.chmod(0o755)
    return program


def says(text: str) -> str:
    return f"cat >&2 <<'END'\n{text}\nEND\nexit 1"


@pytest.fixture
def no_compilers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH; compilers may be put on it."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.delenv("CXX", raising=False)
    return path


needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")


@needs_compiler
def test_a_compiler_that_works_leaves_nothing_behind(tmp_path: Path) -> None:
    check_compiler(tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_the_compilers_first_error_is_named_with_what_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(played(tmp_path, "cxx", says(NO_HEADERS))))
    with pytest.raises(CompilerMissing) as caught:
        check_compiler(tmp_path / "cache")
    assert "(fatal error: Python.h: No such file or directory): install Python's headers" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_compilers")
def test_a_compiler_that_is_not_there_is_said_with_the_way_round_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CompilerMissing, match=r"'g\+\+'.*: install g\+\+, .*--perf-tiers fp32"):
        check_compiler(tmp_path / "cache")
    monkeypatch.setenv("CXX", "none")
    with pytest.raises(CompilerMissing, match="'none'"):
        check_compiler(tmp_path / "cache")


@pytest.mark.skipif(sys.platform == "darwin", reason="clang++ is the usual one there")
def test_the_other_compiler_is_offered_since_inductor_does_not_look_for_it(
    tmp_path: Path, no_compilers: Path
) -> None:
    played(no_compilers, "clang++", "exit 0")
    with pytest.raises(CompilerMissing, match=r"'g\+\+'.*: set CXX=clang\+\+, or"):
        check_compiler(tmp_path / "cache")


def test_a_full_disk_is_no_fault_of_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = says("as: error: /tmp/cc1.o: No space left on device")
    monkeypatch.setenv("CXX", str(played(tmp_path, "cxx", full)))
    with pytest.raises(OutputError, match=r"No space left on device\): free space, or set TMPDIR"):
        check_compiler(tmp_path / "cache")


def test_what_was_compiled_and_cannot_be_loaded_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system mounted noexec, played by a compiler whose output is no program."""
    wrong = played(tmp_path, "cxx", 'for word; do case "$word" in *.so) : > "$word";; esac; done')
    monkeypatch.setenv("CXX", str(wrong))
    with pytest.raises(OutputError, match=r"cannot be loaded from .*may be noexec"):
        check_compiler(tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(played(tmp_path, "cxx", "exit 0")))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be kept in .*file/cache \(Not a directory\)"):
        check_compiler(tmp_path / "file" / "cache")


def test_a_temporary_folder_with_a_space_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(played(tmp_path, "cxx", "exit 0")))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a b"))
    with pytest.raises(OutputError, match=r"cannot hold the path .*a b': set TMPDIR or"):
        check_compiler(tmp_path / "cache")


@needs_compiler
def test_a_cache_below_a_folder_with_a_space_is_reached_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    out = tmp_path / "my project" / ".perfsuite"
    link = compile_cache(out)
    assert " " not in str(link)
    assert link.resolve() == out / "cache" / "inductor"
    assert compile_cache(out) == link
    check_compiler(link)
    assert compile_cache(tmp_path / "x") == tmp_path / "x" / "cache" / "inductor"
    link.unlink()
    link.touch()  # somebody's file is in the way
    assert compile_cache(out).resolve() == out / "cache" / "inductor"


@needs_compiler
def test_half_written_code_is_removed_and_whole_code_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "x.cpp"
    source.write_text("int x() { return 1; }")
    for name in ("whole", "cut", "head"):
        target = tmp_path / "ab" / f"{name}.main.so"
        target.parent.mkdir(exist_ok=True)
        command = ["g++", "-shared", "-fPIC", str(source), "-o", str(target)]
        subprocess.run(command, check=True)
    os.truncate(tmp_path / "ab" / "cut.main.so", 100)
    os.truncate(tmp_path / "ab" / "head.main.so", 10)
    assert {path.name for path in remove_damaged(tmp_path)} == {"cut.main.so", "head.main.so"}
    assert is_whole(tmp_path / "ab" / "whole.main.so")
    ctypes.CDLL(str(tmp_path / "ab" / "whole.main.so"))


@pytest.mark.skipif(sys.platform != "linux", reason="ELF files")
def test_what_another_process_is_compiling_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    half = tmp_path / "cab.main.so"
    half.write_bytes(b"\x7fELF")
    with FileLock(tmp_path / "locks" / "cab.lock"):
        assert remove_damaged(tmp_path) == ()
    assert half.exists()
    assert remove_damaged(tmp_path) == (half,)


def test_a_compilers_first_error_stands_in_an_errors_head() -> None:
    class InductorError(RuntimeError):
        """As torch's is printed."""

    error = InductorError(
        f"CppCompileError: C++ compile error\n\nCommand:\ng++ x.cpp\n\nOutput:\n{NO_HEADERS}\n"
    )
    assert head_of(error) == (
        "InductorError: CppCompileError: C++ compile error "
        "(fatal error: Python.h: No such file or directory)"
    )
    assert head_of(ValueError("one\nerror: two")) == "ValueError: one"


def test_a_gates_temporary_folder_holds_the_files_of_others_which_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    theirs = tmp_path / "theirs.so"
    theirs.write_text("not whole")
    check_compiler(tmp_path)
    assert theirs.is_file()


def test_a_space_in_the_path_of_torch_is_said_beforehand() -> None:
    """Inductor's linker is told of torch's folder without quotes."""
    with pytest.raises(
        CompilerMissing, match=r"'/my venv'.*without spaces, or leave .*--perf-tiers"
    ):
        check_libraries(Path("/my venv"))
    check_libraries(Path("/venv"))
    check_libraries()


def test_environments_under_a_folder_with_a_space_are_reached_without_it(tmp_path: Path) -> None:
    folder = tmp_path / "my project" / "envs"
    found = without_spaces(folder)
    try:
        assert " " not in str(found)
        assert found.resolve() == folder
    finally:
        found.unlink()
