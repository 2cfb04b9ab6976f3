"""Pruning: old state goes, baselines never do."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from filelock import FileLock

from perfsuite.cli import main
from perfsuite.errors import OutputError
from perfsuite.stores.prune import DAY_S, Pruned, prune

NOW = time.time()
SACRED = (
    "baselines/key/pocket.json",
    "references/key/pocket/manifest.json",
    "quality/pocket.json",
    "first-baselines.json",
    "runs/latest.json",
)


def aged(path: Path, days: float, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    then = NOW - days * DAY_S
    for each in (path, path.parent):
        os.utime(each, (then, then))
    return path


def removed(found: tuple[Pruned, ...]) -> dict[str, int]:
    return {each.kind: each.removed for each in found if each.removed}


def test_old_records_go_with_their_pictures_and_the_newest_stay(tmp_path: Path) -> None:
    for night in range(10):
        aged(tmp_path / "runs" / f"{night}" / "00.png", 100 - night)
        aged(tmp_path / "runs" / f"{night}.json", 100 - night)
    found = prune(tmp_path, 3, 30, now=NOW)
    assert removed(found) == {"runs": 7}
    assert found[0] == Pruned("runs", 7, 3, 14)
    left = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert left == ["7", "7.json", "8", "8.json", "9", "9.json"]


def test_what_is_young_stays_however_much_there_is(tmp_path: Path) -> None:
    for night in range(10):
        aged(tmp_path / "gates" / f"{night}.json", 1)
    assert removed(prune(tmp_path, 3, 30, now=NOW)) == {}


def test_baselines_references_and_thresholds_are_never_touched(tmp_path: Path) -> None:
    for name in SACRED:
        aged(tmp_path / name, 1000)
    assert removed(prune(tmp_path, 1, 1, now=NOW)) == {}
    assert all((tmp_path / name).is_file() for name in SACRED)


def test_an_environment_that_is_being_built_stays(tmp_path: Path) -> None:
    for name in ("old", "locked"):
        aged(tmp_path / "envs" / name / "environment.json", 60)
    aged(tmp_path / "envs" / "new" / "environment.json", 2)
    with FileLock(tmp_path / "envs" / ".locked.lock"):
        assert removed(prune(tmp_path, 1, 30, now=NOW)) == {"envs": 1}
    left = {path.name for path in (tmp_path / "envs").iterdir() if path.is_dir()}
    assert left == {"locked", "new"}


def test_compiled_code_goes_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "inductor"
    aged(cache / "ab" / "old.py", 90)
    fresh = aged(cache / "cd" / "fresh.py", 1)
    os.utime(cache, (NOW - 90 * DAY_S,) * 2)
    assert removed(prune(tmp_path, 1, 30, now=NOW)) == {}
    os.utime(fresh, (NOW - 90 * DAY_S,) * 2)
    os.utime(cache, (NOW - 90 * DAY_S,) * 2)
    assert removed(prune(tmp_path, 1, 30, now=NOW)) == {"compiled code": 1}
    assert not cache.exists()


def test_what_a_killed_recording_has_left_goes(tmp_path: Path) -> None:
    aged(tmp_path / "recording-x" / "baselines" / "a.json", 40)
    os.utime(tmp_path / "recording-x", (NOW - 40 * DAY_S,) * 2)
    aged(tmp_path / "recording-y" / "a.json", 1)
    assert removed(prune(tmp_path, 1, 30, now=NOW)) == {"unfinished recordings": 1}
    assert not (tmp_path / "recording-x").exists()


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    kept = aged(tmp_path / "elsewhere" / "file", 90)
    aged(tmp_path / "runs" / "1" / "x", 90)
    (tmp_path / "runs" / "1" / "link").symlink_to(kept.parent)
    aged(tmp_path / "runs" / "1.json", 90)
    aged(tmp_path / "runs" / "2.json", 1)
    os.utime(tmp_path / "runs" / "1", (NOW - 90 * DAY_S,) * 2)
    assert removed(prune(tmp_path, 1, 30, now=NOW)) == {"runs": 1}
    assert kept.is_file()


def test_a_dry_run_removes_nothing_and_says_what_it_would(tmp_path: Path) -> None:
    for night in (1, 2):
        aged(tmp_path / "runs" / f"{night}.json", 90 - night)
    asked = ["prune", "--out", str(tmp_path), "--keep", "1", "--dry-run"]
    said = CliRunner().invoke(main, asked)
    assert said.exit_code == 0
    assert said.output == "runs: would remove 1 (0.0 MiB), 1 kept\n"
    assert (tmp_path / "runs" / "1.json").is_file()
    CliRunner().invoke(main, asked[:-1])
    assert not (tmp_path / "runs" / "1.json").exists()


def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is no folder"):
        prune(tmp_path / "none", 1, 1)


def test_a_bucket_is_not_pruned_from_here() -> None:
    said = CliRunner().invoke(main, ["prune", "--out", "memory://perf/out"])
    assert said.exit_code == 2
    assert "lifecycle rule" in said.output
