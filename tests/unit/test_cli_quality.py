"""The quality gate's commands: what they refuse, and what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from perfsuite.checkpoints import Checkpoint
from perfsuite.cli.commands import main
from perfsuite.judge.images import judge_images
from perfsuite.judge.layers import judge_layers
from perfsuite.report.console import render_console
from perfsuite.report.markdown import render_markdown
from perfsuite.results.images import ImageScore, LayerScore, LayerThresholds, Thresholds
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.selftest.quality.fault import Stage
from perfsuite.selftest.quality.report import cells, margin_db, quality_document, summary
from perfsuite.selftest.quality.trial import Report, Trial

EXACT = Thresholds("exactness", worst_psnr_db=70.0)
LOSSY = Thresholds("calibrated", worst_ssim=0.99)


def verdict(psnr_db: float | None, thresholds: Thresholds, faults: tuple[str, ...] = ()) -> Verdict:
    metric = Metric.EXACTNESS if thresholds is EXACT else Metric.IMAGES
    scores = (ImageScore("a fox", 0, 0.9999, psnr_db, 0.0, 1.0, faults),)
    return judge_images(scores, thresholds, metric)


CAUGHT = Trial(
    "scale", "a wrong scale", Stage.EXACTNESS, "https://x/1", verdict(58.0, EXACT),
    verdict(50, LOSSY),
)  # fmt: skip
MISSED = Trial(
    "tiny", "hardly anything", Stage.EXACTNESS, None, verdict(71.5, EXACT), verdict(50, LOSSY)
)
HEALTHY = Trial("bf16", "healthy tier", None, None, None, verdict(50, LOSSY))
LAYER = Trial(
    "int8", "a layer", Stage.LAYERS, None, None, None,
    judge_layers([LayerScore("unet.a", 0.04, 1.02)], LayerThresholds("", 0.02, 0.01)),
)  # fmt: skip


def report(*faults: Trial) -> Report:
    return Report("pocket", "sha256:1", faults, (), (HEALTHY,))


def test_selftest_names_what_it_can_test() -> None:
    result = CliRunner().invoke(main, ["selftest"])
    assert result.exit_code == 2
    assert "perfsuite selftest --quick, --full, --gate or --quality" in result.output


def test_options_of_the_quality_gate_do_not_go_with_the_latency_gate() -> None:
    result = CliRunner().invoke(main, ["selftest", "--quick", "--repeats", "3"])
    assert result.exit_code == 2
    assert "--repeats goes with --quality or --gate" in result.output
    for wrong in (["--quick", "--only", "x"], ["--gate", "--after", "3"]):
        said = CliRunner().invoke(main, ["selftest", *wrong])
        assert said.exit_code == 2
        assert "--only and --after go with --quality" in said.output
    said = CliRunner().invoke(main, ["selftest", "--quality", "--after", "3"])
    assert said.exit_code == 2
    assert "--after goes with --repeats" in said.output


def test_selftest_without_references_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["selftest", "--quality", "--tiers", "fp32"])
    assert result.exit_code == 2
    assert "no reference images yet: perfsuite record-references" in result.output


def test_a_miss_is_counted_and_named_with_its_score() -> None:
    text = render_console(quality_document(report(CAUGHT, MISSED, LAYER)), width=120)
    assert "2 of 3 planted faults caught (66.7%)" in text
    assert "missed: tiny" in text
    assert "71.5 dB" in text


def test_what_is_healthy_and_called_a_fault_is_named() -> None:
    alarm = Trial("int8", "healthy tier", None, None, verdict(60.0, EXACT))
    found = Report("pocket", "sha256:1", (CAUGHT,), (), (HEALTHY, alarm))
    assert found.alarms == (alarm,)
    assert "called a fault: int8" in summary(found)


def test_a_check_that_needs_no_reference_is_named_as_such() -> None:
    trial = Trial("nan", "", Stage.VISIBLE, None, verdict(None, EXACT, ("black",)))
    assert trial.caught_by == ("visible", "exactness")


def test_an_error_that_the_library_raises_is_a_fault_caught() -> None:
    assert Trial("nan", "", Stage.VISIBLE, error="RuntimeError: x").caught_by == ("error",)


def test_the_margin_is_that_of_the_clearest_check() -> None:
    assert margin_db(CAUGHT) == pytest.approx(12)
    assert margin_db(MISSED) == pytest.approx(-1.5)
    assert margin_db(LAYER) == pytest.approx(6.02, abs=0.01)
    assert margin_db(Trial("x", "", None)) is None


def test_cells_show_each_checks_own_number() -> None:
    assert cells(CAUGHT) == ("scale", "exactness", "58.0 dB", "0.9999", "-", "-", "+12.0 dB")
    assert cells(LAYER)[4] == "0.0400 x1.020"
    assert cells(MISSED)[1] == "MISSED"
    assert HEALTHY.lossy is not None
    assert HEALTHY.lossy.outcome is Outcome.PASSED


def test_the_documentation_links_the_reports() -> None:
    text = render_markdown(quality_document(report(CAUGHT, MISSED)))
    assert "a wrong scale ([report](https://x/1))" in text
    assert text.count("\n| ") == 2 * 2 + 3


def calibrate(*arguments: str) -> Result:
    command = ["calibrate-quality", "quick", "--seeds", "3", "--tiers"]
    return CliRunner().invoke(main, [*command, *arguments])


def test_calibrating_stores_thresholds_with_their_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Checkpoint, one_thread: None
) -> None:
    monkeypatch.chdir(tmp_path)
    result = calibrate("fp32,bf16")
    assert result.exit_code == 0, result.output
    assert "bf16: SSIM worst 0." in result.output
    (path,) = tmp_path.glob("baselines/*/quality/quick.json")
    stored = json.loads(path.read_text())
    assert stored["seeds"] == [0, 1, 2]
    assert list(stored["tiers"]) == ["bf16"]
    assert stored["tiers"]["bf16"]["images"] == 3
    assert stored["environment"]["packages"]["torch"]


def test_calibrating_again_replaces_thresholds_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Checkpoint, one_thread: None
) -> None:
    monkeypatch.chdir(tmp_path)
    calibrate("fp32,bf16")
    (path,) = tmp_path.glob("baselines/*/quality/quick.json")
    path.write_text(path.read_text().replace("sha256:", "sha256:0"))
    assert calibrate("fp32,bf16").exit_code == 0
    path.write_text("{")
    assert calibrate("fp32,bf16").exit_code == 0


def test_calibrating_one_tier_leaves_the_others_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Checkpoint, one_thread: None
) -> None:
    monkeypatch.chdir(tmp_path)
    calibrate("fp32,bf16")
    (path,) = tmp_path.glob("baselines/*/quality/quick.json")
    before = json.loads(path.read_text())["tiers"]["bf16"]
    calibrate("fp32,sdpa")
    after = json.loads(path.read_text())["tiers"]
    assert after["bf16"] == before
    assert after["sdpa"]["exactness_psnr_db"] > 90
