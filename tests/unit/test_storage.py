from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from perfsuite.errors import BaselineError, OutputError
from perfsuite.storage import check_writable, read_json, write_json, write_whole


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
    assert seen == [b"old"]
    assert path.read_bytes() == b"new"


def test_a_folder_that_cannot_be_made_is_found_out_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="--perf-out"):
        check_writable(tmp_path / "file" / "out", 0)


def test_finding_out_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable(tmp_path / "out", 0)
    assert list((tmp_path / "out").iterdir()) == []


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


@pytest.mark.parametrize("content", ["{}", "[]", "3", '{"schema": "1"}', '{"schema": null}'])
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


def test_a_disk_that_is_nearly_full_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"MiB free, this run needs \d+ MiB: free space"):
        check_writable(tmp_path, 1 << 60)
