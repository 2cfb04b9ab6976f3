"""Files that the first schema wrote stay readable; they lie in schema1/ as it wrote them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from perfsuite.errors import BaselineError, CalibrationError, OutputError
from perfsuite.report.ab import gate_document
from perfsuite.report.bisect import bisection_document
from perfsuite.report.console import render_console
from perfsuite.report.session import session_document
from perfsuite.results.ab import load_gate
from perfsuite.results.bisection import Answer, BisectRecord
from perfsuite.results.images import Calibration
from perfsuite.results.migrate import SCHEMA, migrated
from perfsuite.results.reasons import Note
from perfsuite.results.session import load_record
from perfsuite.results.verdict import Metric, Outcome
from perfsuite.storage import read_json
from perfsuite.stores.baselines import Baseline

OLD = Path(__file__).parent / "schema1"


def test_a_session_record_keeps_its_verdicts() -> None:
    record = load_record(OLD / "session.json")
    assert record.schema == SCHEMA
    fp32, int8 = record.tiers
    latency = fp32.verdict(Metric.LATENCY)
    assert latency is not None
    assert latency.measured is not None
    assert latency.expected is not None
    assert latency.minimum_detectable_effect is not None
    images = int8.verdict(Metric.IMAGES)
    assert images is not None
    assert images.images is not None
    assert images.images.worst.ssim == images.measured == 0.5
    assert images.images.pictures == ("/somewhere/int8-00.png",)
    assert images.notes == (Note("fp32 was not held against its own references in this run"),)
    assert int8.overall is Outcome.REGRESSED
    assert {each.metric for each in int8.verdicts} == {
        Metric.LATENCY,
        Metric.IMAGES,
        Metric.EXACTNESS,
        Metric.LAYERS,
    }
    layers = int8.verdict(Metric.LAYERS)
    assert layers is not None
    assert layers.measured == 0.5
    assert "image worse" in render_console(session_document(record))


def test_a_gate_keeps_its_samples_verdicts_and_images() -> None:
    record = load_gate(OLD / "gate.json")
    slower, spoilt = record.tiers
    assert slower.blocks[0].samples
    latency = next(each for each in slower.verdicts if each.metric is Metric.LATENCY)
    assert latency.change == pytest.approx(0.1)
    assert latency.expected is not None
    assert latency.change_interval is not None
    assert slower.treatment_images is not None
    assert slower.treatment_images.images is not None
    assert spoilt.blocks[0].spoilt == Note("the machine was swapping")
    assert "the machine was swapping" in render_console(gate_document(record), width=100)


def test_a_bisection_keeps_its_trials() -> None:
    record = read_json(
        OLD / "bisection.json",
        BisectRecord,
        schema=SCHEMA,
        error=OutputError,
        hint="",
        migrate=migrated,
    )
    assert [each.answer for each in record.trials][1] is Answer.BAD
    assert "+9.0 ±1.0%" in render_console(bisection_document(record))


def test_a_baseline_keeps_its_runs_with_the_probe_under_its_new_name() -> None:
    path = OLD / "baseline.json"
    baseline = read_json(
        path, Baseline, schema=SCHEMA, error=BaselineError, hint="", migrate=migrated
    )
    old = msgspec.json.decode(path.read_bytes())["tiers"]["fp32"]["runs"][0]["latency"]
    latency = baseline.tiers["fp32"].runs[0].latency
    assert list(latency.probe_s) == old["control_s"]
    assert latency.probe == old["control"]


def test_thresholds_keep_their_evidence() -> None:
    found = read_json(
        OLD / "thresholds.json",
        Calibration,
        schema=SCHEMA,
        error=CalibrationError,
        hint="",
        migrate=migrated,
    )
    assert found.tiers["int8"].thresholds.worst_ssim is not None
    assert found.tiers["int8"].layer_thresholds is not None
