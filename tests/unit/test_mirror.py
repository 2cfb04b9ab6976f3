"""Copies of folders behind a URL, on fsspec's own local and in-memory file systems."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from perfsuite.errors import OutputError
from perfsuite.mirror import Mirror, is_url, mirror_folder

BASELINE = "baselines/key/pocket.json"


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A folder that is empty at first."""
    if request.param == "file":
        yield f"file://{tmp_path}/bucket/perf"
        return
    yield f"memory://{uuid.uuid4().hex}/perf"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def machines(url: str, tmp_path: Path) -> tuple[Mirror, Mirror]:
    """Two machines that share the URL."""
    return Mirror(url, tmp_path / "one"), Mirror(url, tmp_path / "two")


def put(mirror: Mirror, path: str, text: str) -> None:
    (mirror.folder / path).parent.mkdir(parents=True, exist_ok=True)
    (mirror.folder / path).write_text(text)


def read(mirror: Mirror, path: str = BASELINE) -> str:
    return (mirror.folder / path).read_text()


def there(url: str) -> dict[str, str]:
    """Everything below the URL."""
    system, root = fsspec.core.url_to_fs(url)
    found = system.find(root) if system.exists(root) else []
    return {path[len(root) :].lstrip("/"): system.cat_file(path).decode() for path in found}


def test_what_one_machine_sends_the_next_one_finds(machines: tuple[Mirror, Mirror]) -> None:
    one, two = machines
    one.pull()
    put(one, BASELINE, "first night")
    one.push()
    two.pull()
    assert read(two) == "first night"


def test_nothing_is_left_of_the_trial_whether_it_can_be_written(
    machines: tuple[Mirror, Mirror], url: str
) -> None:
    machines[0].pull()
    assert there(url) == {}


def test_records_are_sent_and_not_fetched_and_caches_stay(
    machines: tuple[Mirror, Mirror], url: str
) -> None:
    one, two = machines
    one.pull()
    for path in ("runs/1.json", "runs/1/00.png", "cache/inductor/x", "envs/a/b", ".x.lock"):
        put(one, path, path)
    one.push()
    assert sorted(there(url)) == ["runs/1.json", "runs/1/00.png"]
    two.pull()
    assert not (two.folder / "runs").exists()


def test_only_what_has_changed_is_sent(
    machines: tuple[Mirror, Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite.mirror import _Remote

    one, _ = machines
    one.pull()
    put(one, BASELINE, "1")
    one.push()
    sent: list[str] = []
    monkeypatch.setattr(_Remote, "write", lambda self, path, *_, **__: sent.append(path))
    one.push()
    assert sent == []


def test_what_somebody_else_has_sent_meanwhile_stays_and_ours_is_put_beside_it(
    machines: tuple[Mirror, Mirror], url: str
) -> None:
    one, two = machines
    one.pull()
    put(one, BASELINE, "old")
    one.push()
    two.pull()
    put(two, BASELINE, "theirs")
    two.push()
    put(one, BASELINE, "ours")
    put(one, "runs/1.json", "a record")
    with pytest.raises(OutputError, match=r"changed by somebody else.*pocket.json.*conflict"):
        one.push()
    found = there(url)
    assert found.pop(BASELINE) == "theirs"
    assert found.pop("runs/1.json") == "a record"
    assert list(found.values()) == ["ours"]


def test_of_two_first_baselines_the_first_stays(machines: tuple[Mirror, Mirror], url: str) -> None:
    one, two = machines
    for mirror, text in ((one, "one"), (two, "two")):
        mirror.pull()
        put(mirror, BASELINE, text)
    one.push()
    with pytest.raises(OutputError, match="changed by somebody else"):
        two.push()
    assert there(url)[BASELINE] == "one"


def test_two_machines_that_send_the_same_do_not_disagree(
    machines: tuple[Mirror, Mirror], url: str
) -> None:
    for mirror in machines:
        put(mirror, BASELINE, "same")
        mirror.push()
    assert there(url) == {BASELINE: "same"}


def test_what_could_not_be_sent_is_kept_and_sent_the_next_time(
    machines: tuple[Mirror, Mirror], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite.mirror import _Remote

    one, _ = machines
    one.pull()
    put(one, BASELINE, "old")
    one.push()
    put(one, BASELINE, "new")

    def refuse(*_: object, **__: object) -> bool:
        raise ConnectionError("no route to host")

    with monkeypatch.context() as broken:
        broken.setattr(_Remote, "write", refuse)
        with pytest.raises(OutputError, match=r"cannot be reached or written .*no route"):
            one.push()
    one.pull()
    assert read(one) == "new"
    one.push()
    assert there(url)[BASELINE] == "new"


def test_a_file_that_has_changed_on_both_sides_stops_before_anything_is_measured(
    machines: tuple[Mirror, Mirror],
) -> None:
    one, two = machines
    one.pull()
    put(one, BASELINE, "old")
    one.push()
    two.pull()
    put(two, BASELINE, "theirs")
    two.push()
    put(one, BASELINE, "ours")
    with pytest.raises(OutputError, match=r"changed both in .*delete .*pocket.json"):
        one.pull()
    assert read(one) == "ours"
    (one.folder / BASELINE).unlink()
    one.pull()
    assert read(one) == "theirs"


def test_what_was_deleted_there_does_not_come_back(
    machines: tuple[Mirror, Mirror], url: str
) -> None:
    one, _ = machines
    one.pull()
    put(one, BASELINE, "old")
    one.push()
    system, root = fsspec.core.url_to_fs(url)
    system.rm_file(f"{root}/{BASELINE}")
    one.pull()
    assert not (one.folder / BASELINE).exists()
    one.push()
    assert there(url) == {}


def test_what_lists_other_files_is_fetched_first_and_sent_last(
    machines: tuple[Mirror, Mirror], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite.mirror import _Remote

    one, two = machines
    order: list[str] = []
    write, fetch = _Remote.write, _Remote.read

    def noted_write(self: _Remote, path: str, content: bytes, **options: bool) -> bool:
        order.append(path)
        return write(self, path, content, **options)

    def noted_read(self: _Remote, path: str) -> bytes:
        order.append(path)
        return fetch(self, path)

    for name in ("manifest.json", "00.png", "z.png"):
        put(one, f"references/pocket/{name}", name)
    monkeypatch.setattr(_Remote, "write", noted_write)
    one.push()
    assert order[-1] == "references/pocket/manifest.json"
    order.clear()
    monkeypatch.setattr(_Remote, "read", noted_read)
    two.pull()
    assert next(path for path in order if "references" in path).endswith("manifest.json")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("nowhere://x/y", "cannot be reached"),
        ("s3://bucket/perf", r"cannot be reached.*pip install 'perfsuite\[s3\]'"),
    ],
)
def test_a_url_that_cannot_be_reached_is_one_line(bad: str, message: str, tmp_path: Path) -> None:
    if bad.startswith("s3") and importlib.util.find_spec("s3fs"):
        pytest.skip("s3fs is installed here")
    with pytest.raises(OutputError, match=message) as refused:
        Mirror(bad, tmp_path).pull()
    assert "\n" not in str(refused.value)


def test_a_folder_that_cannot_be_written_is_found_out_by_fetching(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Not a directory"):
        Mirror(f"file://{tmp_path}/file/perf", tmp_path / "copy").pull()


@pytest.mark.parametrize("text", ["s3://b/x", "file:///x", "gs://b", "memory://x"])
def test_urls(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize("text", [".perfsuite", "/abs", "C:\\x", "s3:/x", "a b://", "s3://"])
def test_paths(text: str) -> None:
    assert not is_url(text)


def test_each_url_has_a_copy_of_its_own(tmp_path: Path) -> None:
    folders = {mirror_folder(url, tmp_path) for url in ("s3://a/b", "s3://a/c")}
    assert len(folders) == 2
