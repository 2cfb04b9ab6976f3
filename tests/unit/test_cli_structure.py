"""`perfsuite structure`: expectations, planted changes, hooks that have moved, and exit codes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from perfsuite.cli.commands import main
from perfsuite.results.deviceless import save_structure
from tests.unit.structures import ATTENTION, record, tier


@pytest.fixture
def runner(libraries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def structure(runner: CliRunner, *arguments: str) -> Result:
    return runner.invoke(main, ["structure", "--checkpoint", "pocket", *arguments])


def test_an_expectation_is_kept_and_a_planted_operator_is_found(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = structure(runner, "--tiers", "sdpa")
    assert first.exit_code == 3
    assert "no expectation" in first.output
    assert structure(runner, "--tiers", "sdpa", "--update").exit_code == 0
    same = structure(runner, "--tiers", "sdpa")
    assert same.exit_code == 0, same.output
    assert "Nothing has changed." in same.output

    plant_an_operator(monkeypatch)
    changed = structure(runner, "--tiers", "sdpa", "--markdown", str(tmp_path / "page.md"))
    assert changed.exit_code == 1
    page = (tmp_path / "page.md").read_text()
    assert "#### sdpa: operators that differ" in page
    assert "| unet.down_blocks.0.resnets.0 | aten.add | 2 | 3 | +1 |" in page


def plant_an_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers.models.resnet import ResnetBlock2D

    forward = ResnetBlock2D.forward

    def with_one_more(self: Any, *args: Any, **kwargs: Any) -> Any:
        return forward(self, *args, **kwargs) + 0

    monkeypatch.setattr(ResnetBlock2D, "forward", with_one_more)


def test_a_hook_that_has_moved_is_never_a_pass(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchao.kernel.intmm

    monkeypatch.delattr(torchao.kernel.intmm, "safe_int_mm")
    moved = structure(runner, "--tiers", "int8")
    assert moved.exit_code == 3
    assert "int8: unsupported: torchao.kernel.intmm.safe_int_mm" in moved.output
    assert structure(runner, "--tiers", "int8", "--update").exit_code == 3
    assert not list(Path("baselines").rglob("*.json"))


def test_two_records_are_compared_without_counting(runner: CliRunner, tmp_path: Path) -> None:
    save_structure(tmp_path / "old.json", record())
    save_structure(tmp_path / "new.json", record(tier(products=5), torch="2.14.1"))
    named = ("--record", "new.json", "--against", "old.json")
    found = structure(runner, *named)
    assert found.exit_code == 0
    assert f"sdpa: 1 more operator, all in {ATTENTION}." in found.output
    assert structure(runner, "--record", "old.json").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tiers", "fp16"), "unknown tier 'fp16'"),
        (("--kernels", "--arch", "sm_1"), "--arch cannot be 'sm_1': it takes sm_80"),
        (("--kernels", "--tiers", "fp32,sdpa"), "no tier of fp32,sdpa is compiled"),
        (("--against", "nothing.json"), "cannot read nothing.json"),
        (("--checkpoint", "nowhere"), "unknown checkpoint 'nowhere'"),
        (("--against-device", "--update"), "--against-device is a comparison of its own"),
        (("--workload", "one,two"), "unknown workload 'one'"),
    ],
)
def test_wrong_usage_is_one_line_before_anything_is_counted(
    runner: CliRunner, arguments: tuple[str, ...], said: str
) -> None:
    failed = structure(runner, *arguments)
    assert failed.exit_code == 2
    assert said in failed.output


@pytest.mark.skipif(
    importlib.util.find_spec("triton") is not None, reason="this torch comes with Triton"
)
def test_kernels_without_triton_are_refused(runner: CliRunner) -> None:
    failed = structure(runner, "--kernels")
    assert failed.exit_code == 2
    assert "comes without Triton" in failed.output


@pytest.mark.skipif(torch.accelerator.is_available(), reason="this machine has an accelerator")
def test_without_a_gpu_there_is_nothing_real_to_compare_with(runner: CliRunner) -> None:
    failed = structure(runner, "--against-device")
    assert failed.exit_code == 2
    assert "needs a GPU, and torch finds none" in failed.output


@pytest.mark.cuda
def test_operators_are_those_that_a_gpu_runs(runner: CliRunner) -> None:
    found = structure(runner, "--tiers", "fp32", "--against-device")
    assert found.exit_code == 0, found.output
