"""The commands, through click's runner."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from perfsuite.checkpoints import Checkpoint, find_checkpoint
from perfsuite.checkpoints.folder import FolderSource
from perfsuite.cli.commands import main
from perfsuite.ladder import table


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def test_tiers_prints_what_each_row_adds_within_80_columns(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = runner.invoke(main, ["tiers"])
    assert result.exit_code == 0
    for text in (
        "published: 7.36 s, 16.83 GB on A100",
        "int8 on fused-qkv",
        "+ dynamic_int8",
        "bfloat16",
    ):
        assert text in result.output
    assert max(len(line) for line in result.output.splitlines()) <= 80


@pytest.mark.parametrize("folder", [".", "tests", "of/ours/perf"])
@pytest.mark.parametrize("testpaths", ["", "test_one.py", "of tests"])
def test_tiers_prints_those_of_the_projects_conftests(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, folder: str, testpaths: str
) -> None:
    if testpaths == "test_one.py" and folder != ".":
        pytest.skip("pytest does not look there")
    monkeypatch.setattr(table, "_TIERS", dict(table._TIERS))
    for each in ("of", "tests", folder):
        Path(each).mkdir(parents=True, exist_ok=True)
    Path("test_one.py").write_text("raise SystemExit('a test was imported')\n")
    Path("pytest.ini").write_text(f"[pytest]\naddopts = -n 2 -x\ntestpaths = {testpaths}\n")
    Path(folder, "conftest.py").write_text(
        "from perfsuite import Tier, register_tier\n"
        "print('said while importing')\n"
        "register_tier(Tier('of-ours', 'fp32', (), why='for a test'))\n"
    )
    result = runner.invoke(main, ["tiers"])
    assert result.exit_code == 0, result.output
    assert "of-ours on fp32" in result.output
    assert "said while importing" not in result.output


@pytest.mark.parametrize("folder", [".", "below"])
def test_a_conftest_that_cannot_be_read_is_one_line(runner: CliRunner, folder: str) -> None:
    Path(folder).mkdir(exist_ok=True)
    Path(folder, "conftest.py").write_text("raise ValueError('no such luck')\n")
    result = runner.invoke(main, ["tiers"])
    assert result.exit_code == 2
    assert "cannot be read (ValueError: no such luck): fix its conftest.py" in result.output


def test_references_are_recorded_with_their_manifest(runner: CliRunner, quick: Checkpoint) -> None:
    result = runner.invoke(main, ["record-references", "quick"])
    assert result.exit_code == 0, result.output
    assert "1 reference images in " in result.output
    (manifest,) = Path("baselines").glob("*/references/quick/manifest.json")
    assert sorted(path.name for path in manifest.parent.iterdir()) == [
        "00.png",
        "latents.safetensors",
        "manifest.json",
        "pixels.safetensors",
    ]


def test_a_command_knows_the_tiers_and_checkpoints_of_the_projects_conftests(
    runner: CliRunner, quick: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_TIERS", dict(table._TIERS))
    Path("tests").mkdir()
    Path("tests/conftest.py").write_text(
        "from perfsuite import Tier, register_tier\n"
        "register_tier(Tier('of-ours', 'fp32', (), why='for a test'))\n"
    )
    Path("pyproject.toml").write_text('[tool.perfsuite]\ntiers = ["of-ours"]\n')
    result = runner.invoke(main, ["record-references", "quick"])
    assert result.exit_code == 0, result.output


def test_references_are_made_with_fp32_whatever_tiers_the_project_measures(
    runner: CliRunner, quick: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[torch.dtype] = []
    load = FolderSource.load

    def noted(self: FolderSource, dtype: torch.dtype, torch_device: str) -> object:
        built.append(dtype)
        return load(self, dtype, torch_device)

    monkeypatch.setattr(FolderSource, "load", noted)
    Path("pyproject.toml").write_text('[tool.perfsuite]\ntiers = ["bf16"]\n')
    result = runner.invoke(main, ["record-references", "quick"])
    assert result.exit_code == 0, result.output
    assert built == [torch.float32]


@pytest.mark.usefixtures("libraries")
def test_an_unknown_checkpoint_is_a_usage_error(runner: CliRunner) -> None:
    result = runner.invoke(main, ["record-references", "nowhere"])
    assert result.exit_code == 2
    assert "unknown checkpoint 'nowhere'" in result.output


def test_references_of_weights_with_a_nan_are_refused_and_nothing_is_written(
    runner: CliRunner, libraries: None, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(find_checkpoint("pocket").source.folder, folder)  # type: ignore[attr-defined]
    (weights,) = (folder / "vae").glob("*.safetensors")
    tensors = load_file(weights)
    name = next(each for each in tensors if each.startswith("decoder.conv_out"))
    tensors[name].reshape(-1)[0] = np.nan
    save_file(tensors, weights)
    result = runner.invoke(main, ["record-references", str(folder)])
    assert result.exit_code == 2
    assert "is no reference: pixels are NaN or infinite" in result.output
    assert not list(Path().rglob("manifest.json"))
