"""What is found out before the first weight is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from perfsuite.ab.plan import prepare_gate
from perfsuite.checkpoints import Checkpoint
from perfsuite.errors import OutputError
from perfsuite.session.preflight import prepare_run
from perfsuite.settings import Settings, resolve_settings

pytestmark = pytest.mark.usefixtures("one_thread")


def settings(root: Path, **given: Any) -> Settings:
    options = {"checkpoint": "quick", "tiers": "fp32"}
    options |= {name.replace("_", "-"): value for name, value in given.items()}
    return resolve_settings(options, root)


def in_the_way(root: Path, path: str) -> Path:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text("mine")
    return root / path


@pytest.mark.parametrize(
    ("file", "given"),
    [
        ("README.md", {"baselines": "README.md", "update": "replace"}),
        ("README.md", {"baselines": "README.md", "update": "add"}),
        ("README.md", {"baselines": "README.md"}),
        ("README.md", {"baselines": "README.md/baselines", "update": "add"}),
        ("README.md", {"out": "README.md"}),
        ("README.md", {"out": "README.md/out"}),
        (".perfsuite/runs", {}),
        (".perfsuite/baselines", {}),
    ],
)
def test_an_output_that_cannot_be_written_stops_the_run_beforehand(
    file: str, given: dict[str, str], tmp_path: Path, quick: Checkpoint
) -> None:
    path = in_the_way(tmp_path, file)
    with pytest.raises(OutputError, match=re.escape(str(path))) as caught:
        prepare_run(settings(tmp_path, **given), tmp_path, scores_images=False)
    assert "--perf-baselines" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_text() == "mine"


def test_a_folder_in_the_place_of_a_baseline_stops_the_run_beforehand(
    tmp_path: Path, quick: Checkpoint
) -> None:
    chosen = settings(tmp_path, update="replace")
    run = prepare_run(chosen, tmp_path, scores_images=False)
    run.finish(complete=False)
    run.store.path(chosen.baselines).mkdir(parents=True)
    with pytest.raises(OutputError, match="it is no file"):
        prepare_run(chosen, tmp_path, scores_images=False)


def test_what_is_sound_is_prepared_and_no_baseline_is_made_yet(
    tmp_path: Path, quick: Checkpoint
) -> None:
    prepare_run(settings(tmp_path, update="add"), tmp_path, scores_images=False).finish(
        complete=False
    )
    assert not (tmp_path / "baselines").exists()


@pytest.mark.parametrize(
    ("file", "given"),
    [
        ("README.md", {"baselines": "README.md"}),
        ("README.md", {"out": "README.md"}),
        (".perfsuite/gates", {}),
    ],
)
def test_an_output_that_cannot_be_written_stops_a_gate_beforehand(
    file: str, given: dict[str, str], tmp_path: Path, quick: Checkpoint
) -> None:
    path = in_the_way(tmp_path, file)
    with pytest.raises(OutputError, match=re.escape(str(path))):
        prepare_gate(settings(tmp_path, **given), ".", ".", tmp_path)
