"""The command `gate`: exit codes with fakes, and once with two real workers."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from perfsuite.checkpoints import Checkpoint, registry
from perfsuite.cli import gate as cli_gate
from perfsuite.cli.commands import main
from perfsuite.environments.builder import Environments
from perfsuite.errors import ArmFailed, EnvironmentBroken, WorkerFailed
from perfsuite.page.publish import SUMMARY_VARIABLE
from perfsuite.results.ab import Arm, GateRecord, load_gate
from perfsuite.workers.client import LibrariesBroken
from tests.unit.ab_samples import Opener, busy


@pytest.fixture
def small_pocket(quick: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """`pocket` with hardly anything to do; workers take its weights and this work."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(SUMMARY_VARIABLE, raising=False)
    small = dataclasses.replace(quick, name="pocket")
    monkeypatch.setitem(registry._CHECKPOINTS, "pocket", small)
    return small


def gate(*arguments: str, control: str = ".", treatment: str = ".") -> Result:
    command = ["gate", "--control", control, "--treatment", treatment]
    return CliRunner().invoke(main, [*command, "--tiers", "bf16", "--budget", "0.2", *arguments])


def played(monkeypatch: pytest.MonkeyPatch, opener: Opener) -> None:
    """Have the command's arms played by fakes."""

    @contextlib.contextmanager
    def open_fakes(*_: Any) -> Iterator[Opener]:
        yield opener

    monkeypatch.setattr(cli_gate, "open_workers", open_fakes)


def of_treatment(method: str, error: BaseException) -> Opener:
    return Opener(errors={Arm.TREATMENT: {("bf16", method): error}})


def the_record(folder: Path) -> GateRecord:
    (path,) = folder.glob(".perfsuite/gates/*.json")
    return load_gate(path)


BAD_GRAPH = ArmFailed("RuntimeError: bad graph", hint="read its log", treatment=True)
DIED = WorkerFailed("the treatment worker died", hint="read its log")
TORN = LibrariesBroken(
    "its libraries do not import (ImportError: undefined symbol)", hint="", treatment=True
)
NO_DIFFUSERS = EnvironmentBroken("no diffusers", hint="install it")


@pytest.mark.usefixtures("small_pocket")
@pytest.mark.parametrize(
    ("opener", "code", "said"),
    [
        (Opener(), 0, "passed: the treatment is no worse"),
        (Opener(1.0, 1.5), 1, "bf16 1 s 1.5 s"),
        (of_treatment("build", BAD_GRAPH), 1, "bf16: treatment: RuntimeError: bad graph"),
        (of_treatment("start", TORN), 1, "do not import (ImportError: undefined symbol)"),
        (Opener(swing=0.2), 3, "inconclusive"),
        (Opener(1.0, 1.5, both_finished=busy(1.9)), 3, "inconclusive: what was measured"),
        (of_treatment("turn", DIED), 4, "the treatment worker died"),
        (of_treatment("start", NO_DIFFUSERS), 4, "could not run: no diffusers: install it"),
        (of_treatment("turn", KeyboardInterrupt()), 130, "interrupted: what was measured"),
    ],
)
def test_the_exit_code_tells_what_was_found(
    monkeypatch: pytest.MonkeyPatch, opener: Opener, code: int, said: str
) -> None:
    played(monkeypatch, opener)
    result = gate()
    assert result.exit_code == code, result.output
    assert said in " ".join(result.output.split())


@pytest.mark.usefixtures("small_pocket")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--treatment", "./nowhere"), "./nowhere does not exist"),
        (("--tiers", "bf17"), "unknown tier 'bf17'"),
        (("--tolerance", "much"), "cannot be 'much'"),
        (("--budget", "0"), "cannot be '0'"),
        (("--checkpoint", "nowhere"), "unknown checkpoint 'nowhere'"),
        (("--device", "abacus"), "no 'abacus' device"),
        (("--size", "100x100"), "cannot be '100x100'"),
        (("--steps", "none"), "cannot be 'none'"),
        (("--workload", "large"), "unknown workload 'large'"),
    ],
)
def test_wrong_usage_is_said_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    opener = Opener()
    played(monkeypatch, opener)
    result = gate(*arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert opener.events == []


@pytest.mark.usefixtures("small_pocket")
def test_an_environment_that_does_not_install_could_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: Environments, spec: object) -> Path:
        raise EnvironmentBroken("pip cannot install it (No matching distribution)", hint="correct")

    monkeypatch.setattr(Environments, "provide", refuse)
    result = gate(treatment="torch==99")
    assert result.exit_code == 4
    assert "could not run: pip cannot install it (No matching distribution)" in result.output


@pytest.mark.usefixtures("small_pocket")
def test_markdown_goes_to_its_file_and_to_the_jobs_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv(SUMMARY_VARIABLE, str(summary))
    played(monkeypatch, Opener())
    assert gate("--markdown", "gate.md").exit_code == 0
    text = (tmp_path / "gate.md").read_text()
    assert text.startswith("### perfsuite gate: passed")
    assert summary.read_text() == f"before\n{text}"


@pytest.mark.usefixtures("small_pocket")
def test_libraries_that_do_not_import_are_a_regression_on_every_tier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: dict[tuple[str, str], BaseException] = {
        (tier, "start"): TORN for tier in ("fp32", "bf16")
    }
    played(monkeypatch, Opener(errors={Arm.TREATMENT: errors}))
    assert gate("--tiers", "fp32,bf16").exit_code == 1
    failures = [tier.failure for tier in the_record(tmp_path).tiers]
    assert [each.is_regression for each in failures if each] == [True, True]


@pytest.mark.usefixtures("small_pocket")
@pytest.mark.parametrize("treatment_s", [1.0, 1.5])
def test_no_failure_to_publish_changes_a_verdict(
    monkeypatch: pytest.MonkeyPatch, treatment_s: float
) -> None:
    monkeypatch.setenv(SUMMARY_VARIABLE, "/nonexistent/s")
    played(monkeypatch, Opener(1.0, treatment_s))
    result = gate()
    assert result.exit_code == (0 if treatment_s == 1.0 else 1)
    assert result.output.count("warning: $GITHUB_STEP_SUMMARY /nonexistent/s cannot be writ") == 1


@pytest.mark.usefixtures("small_pocket")
def test_a_compiler_that_cannot_compile_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "cxx"
    compiler.write_text(
        "#!/bin/sh\necho 'x.cpp:1:10: fatal error: Python.h: No such file' >&2\nexit 1\n"
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    opener = Opener()
    played(monkeypatch, opener)
    result = gate("--tiers", "compile")
    assert result.exit_code == 2
    assert "(fatal error: Python.h: No such file): install Python's headers" in result.output
    assert "--tiers fp32,bf16,sdpa" in result.output
    assert "--perf-" not in result.output
    assert opener.events == []
    assert gate("--tiers", "fp32").exit_code == 0


@pytest.mark.usefixtures("small_pocket")
def test_a_cancelled_job_is_an_interrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cancelled(Opener):
        def clock(self) -> float:
            return super().clock()

        def __call__(self, name: Arm, tier: str) -> Any:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().__call__(name, tier)

    played(monkeypatch, Cancelled())
    assert gate().exit_code == 130
    assert the_record(tmp_path).interrupted


def test_two_real_workers_pass_against_each_other(small_pocket: Checkpoint, tmp_path: Path) -> None:
    """What two environments hold is the same here, so nothing may be found but noise."""
    recorded = CliRunner().invoke(main, ["record-references", "pocket"])
    assert recorded.exit_code == 0, recorded.output
    # A tolerance that noise cannot reach, so that two starts of each arm settle it.
    result = gate("--tolerance", "1", "--tiers", "fp32", treatment=sys.executable)
    record = the_record(tmp_path)
    assert result.exit_code == 0, (result.output, json.dumps(str(record)))
    (tier,) = record.tiers
    assert len(tier.usable) == 2  # a start that other processes spoil is made once more
    assert [block.cold for block in tier.blocks][:2] == [True, False]
    for block in tier.blocks:
        arms = [each.arm for each in block.samples]
        assert arms[::4] == arms[3::4]
        assert arms[1::4] == arms[2::4]
    assert tier.same_images is not None
    assert tier.same_images.measured == 1.0
    assert tier.same_images.images is not None
    assert tier.same_images.images.worst.ssim == 1.0
    assert tier.treatment_images is not None
    assert record.is_self_comparison
    assert "both arms hold the same packages" in result.output
    assert record.control.packages is not None
    assert "torch" in record.control.packages
    logs = {path.name for path in tmp_path.glob(".perfsuite/gates/*/*.log")}
    assert logs == {"fp32-control.log", "fp32-treatment.log"}
