from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from perfsuite.errors import BaselineError, OutputError
from perfsuite.storage import (
    check_outputs,
    check_writable,
    locked,
    read_json,
    scratch_folder,
    write_json,
    write_whole,
)


@dataclass(frozen=True)
class Inner:
    latency_s: float


@dataclass(frozen=True)
class Stored:
    schema: int
    parts: tuple[Inner, ...]


VALUE = Stored(1, (Inner(0.5), Inner(1.5)))


def read(path: Path) -> Stored:
    return read_json(path, Stored, schema=1, error=BaselineError, hint="restore it")


def refusal(path: Path) -> str:
    with pytest.raises(BaselineError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "value.json"
    write_json(path, VALUE)
    assert read(path) == VALUE
    assert path.read_bytes().endswith(b"}\n")


def test_others_may_read_what_was_written(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"content")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "value.json"
    write_json(path, VALUE)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OutputError, match=r"cannot write .*No space left on device.*free space"):
        write_json(path, Stored(1, ()))
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["value.json"]


def test_a_reader_never_sees_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "value"
    write_whole(path, b"old")
    seen: list[bytes] = []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        fsync(descriptor)
        seen.append(path.read_bytes())

    monkeypatch.setattr(os, "fsync", look)
    write_whole(path, b"new")
    assert seen[0] == b"old"  # the second look is when the folder's own entry is made to last
    assert path.read_bytes() == b"new"


def test_a_folder_that_cannot_be_made_is_found_out_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="--perf-out"):
        check_writable(tmp_path / "file" / "out", 0)


def test_finding_out_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable(tmp_path / "out" / "runs", 0)
    check_outputs(tmp_path / "out" / "runs" / "latest.json")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path / "absent.json")
    assert message.startswith("cannot read ")
    assert message.endswith("(No such file or directory): restore it")


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, VALUE)
    for length in (0, 1, len(path.read_bytes()) // 2, len(path.read_bytes()) - 2):
        part = tmp_path / f"{length}.json"
        part.write_bytes(path.read_bytes()[:length])
        assert "is not valid (Input data was truncated): restore it" in refusal(part)


def test_a_newer_schema_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_text('{"schema": 2, "shape": "unheard of"}')
    message = refusal(path)
    assert "has schema 2, this perfsuite reads up to 1" in message
    assert "pip install -U perfsuite" in message


@pytest.mark.parametrize(
    "content",
    [
        "{}", "[]", "3", '{"schema": "1"}', '{"schema": null}', '{"schema": true}', '{"schema": 0}',
        '{"schema": -1}', '{"schema": 1.0}', '{"schema": 1e300}', f'{{"schema": {10**30}}}',
        '{"schema": [1]}',
    ],
)  # fmt: skip
def test_a_file_without_a_schema_number_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_text(content)
    assert "has no schema number" in refusal(path)


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ('{"schema": 1, "parts": [{"latency_s": 1}, {"latency_s": "1"}]}', "$.parts[1].latency_s"),
        ('{"schema": 1, "parts": [{}]}', "$.parts[0]"),
        ('{"schema": 1, "parts": null}', "$.parts"),
        ('{"schema": 1}', "missing required field `parts`"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place_in_the_file(
    content: str, where: str, tmp_path: Path
) -> None:
    path = tmp_path / "value.json"
    path.write_text(content)
    assert where in refusal(path)


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(b'{"schema": 1, "parts": "\xff"}')
    assert "restore it" in refusal(path)


@pytest.mark.parametrize(
    "content",
    [
        "[" * 200_000,
        '{"schema": 1, "parts": ' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"schema": 1, "parts": [{"latency_s": NaN}]}',
        '{"schema": 1, "parts": [{"latency_s": Infinity}]}',
        '{"schema": 1, "parts": [{"latency_s": 1e999}]}',
        '{"schema": 1, "parts": [{"latency_s": "\\ud800"}]}',
        '{"schema": 1, "parts": []} and more',
        f'{{"schema": {"9" * 5000}}}',
        "\ufeff{}",
        "",
        "\n",
    ],
)
def test_what_is_no_document_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_text(content)
    message = refusal(path)
    assert "\n" not in message
    assert message.endswith(": restore it")


def test_a_key_that_stands_twice_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_text('{"schema": 1, "parts": [{"latency_s": 1, "latency_s": 2}]}')
    assert "key 'latency_s' stands twice" in refusal(path)


def test_a_folder_a_pipe_and_a_path_that_is_none_are_refused_and_nothing_hangs(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "(it is no file)" in refusal(tmp_path / "pipe")
    assert "Is a directory" in refusal(tmp_path)
    assert refusal(tmp_path / "file" / "x" / ("y" * 300)).startswith("cannot read ")
    with pytest.raises(BaselineError, match="cannot read"):
        read(tmp_path / "null\0byte")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "value.json", VALUE)
    (tmp_path / "value.json").chmod(0)
    assert "Permission denied" in refusal(tmp_path / "value.json")


def test_a_migration_that_stumbles_over_a_document_is_the_documents_fault(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_text('{"schema": 1}')
    for problem in (KeyError("x"), AttributeError("x"), TypeError("a\nb"), ZeroDivisionError()):

        def stumble(document: dict[str, Any], problem: Exception = problem) -> dict[str, Any]:
            raise problem

        with pytest.raises(BaselineError, match="is not valid") as caught:
            read_json(path, Stored, schema=2, error=BaselineError, hint="", migrate=stumble)
        assert "\n" not in str(caught.value)


def test_what_a_killed_writer_left_is_removed_once_it_is_old_and_never_sooner(
    tmp_path: Path,
) -> None:
    """Whichever file of the folder it is a draft of: a record's name is never written again."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = {
        "fresh, writer gone": f".value.json.{ended.pid}.aaaaaaaa.tmp",
        "older, writer gone": f".value.json.{ended.pid}.bbbbbbbb.tmp",
        "older, writer alive": f".value.json.{os.getpid()}.cccccccc.tmp",
        "forgotten": f".value.json.{os.getpid()}.dddddddd.tmp",
        "of another file": f".other.json.{ended.pid}.eeeeeeee.tmp",
        "no draft": ".value.json.notes.tmp",
    }
    ages_s = (0, 90, 90, 4000, 90, 4000)
    for name, age_s in zip(names.values(), ages_s, strict=True):
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    write_json(tmp_path / "value.json", VALUE)
    left = {what for what, name in names.items() if (tmp_path / name).exists()}
    assert left == {"fresh, writer gone", "older, writer alive", "no draft"}
    assert read(tmp_path / "value.json") == VALUE


def test_a_link_goes_on_pointing_to_the_file_that_is_shared(tmp_path: Path) -> None:
    write_whole(tmp_path / "shared" / "value", b"old")
    (tmp_path / "value").symlink_to(tmp_path / "shared" / "value")
    write_whole(tmp_path / "value", b"new")
    assert (tmp_path / "value").is_symlink()
    assert (tmp_path / "shared" / "value").read_bytes() == b"new"


def test_a_lock_that_another_session_holds_names_the_file_and_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "value.json"
    program = "import sys; from pathlib import Path; from perfsuite.storage import locked\n"
    program += f"with locked(Path({str(path)!r})): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(OutputError) as caught, locked(path, timeout_s=0.1):
            pass
        message = str(caught.value)
        assert f"{path} is in use" in message
        assert str(tmp_path / "new" / ".value.json.lock") in message
        if sys.platform == "linux":
            assert f"process {holder.pid} " in message
        holder.kill()
    with locked(path, timeout_s=5):  # the killed holder's lock file is left over, and harmless
        assert (tmp_path / "new" / ".value.json.lock").exists()


def test_a_lock_where_nothing_can_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"), locked(tmp_path / "file" / "value"):
        pass


@pytest.mark.parametrize("place", ["file/value.json", "folder", "pipe"])
def test_what_is_in_the_way_of_an_output_is_found_out_beforehand(
    place: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match=r"cannot write .*--perf-baselines"):
        check_outputs(tmp_path / "fine.json", tmp_path / place)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder", "pipe"]


def test_a_disk_that_is_nearly_full_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"MiB free, this run needs \d+ MiB: free space"):
        check_writable(tmp_path, 1 << 60)


OWNER = """
import sys, time
from pathlib import Path
from perfsuite.storage import scratch_folder
with scratch_folder("scratch-", Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_scratch_folder_outlives_its_owner_only_until_the_next_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        left = Path(owner.stdout.readline().strip())
        os.utime(left, (time.time() - 90,) * 2)
        with scratch_folder("scratch-", tmp_path) as own:
            assert {own, left} == set(tmp_path.iterdir()), "its owner is alive"
        owner.kill()
    with scratch_folder("scratch-", tmp_path) as own:
        assert list(tmp_path.iterdir()) == [own]
    assert not list(tmp_path.iterdir())
