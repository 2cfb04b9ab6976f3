"""The script of the GPU day: what it runs, and what it expects of a record."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from perfsuite.results.machine import Conditions
from perfsuite.results.method import Finding
from perfsuite.results.samples import GraphWork, Measurement, PeakMemory
from perfsuite.results.session import TierResult, save_record
from tests.gpu import day
from tests.gpu.expectations import check_run
from tests.unit.samples import environment, hardware, latency_samples, measurement, record

COMPILED, RECORDED, REPLAYED = GraphWork(2, 1, 1), GraphWork(0, 1, 2), GraphWork(0, 0, 2)


def healthy() -> Measurement:
    return replace(
        measurement("compile", latency_samples((2.5,) * 8, (0.02,) * 8, "v3 bfloat16 cuda graph")),
        sampling_s=23.0,
        probe_repeats=17,
        host_share=0.2,
        warmup_graphs=(COMPILED, RECORDED, REPLAYED, REPLAYED),
        memory=PeakMemory(8_600_000_000, "device allocator, reserved", held_bytes=0),
        conditions=Conditions(),
    )


def checked(measured: Measurement, out: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("tests.gpu.expectations._planned", lambda _: {"compile": 8_550_000_000})
    gpu = environment(hardware(kind="cuda", cores=None))
    run = replace(record(TierResult("compile", measurement=measured)), environment=gpu)
    save_record(run, out)
    return check_run(out)


def test_a_run_as_it_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = checked(healthy(), tmp_path, monkeypatch)
    assert [line for line in lines if not line.startswith("ok: compile: ")] == []
    assert len(lines) == 9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"warmup_graphs": (COMPILED, *(RECORDED,) * 4)}, "warm-up images"),
        ({"warmup_graphs": (*(COMPILED,) * 3, GraphWork(0, 0, 31))}, "31 device graphs held"),
        ({"recordings": 1}, "1 graphs compiled or recorded"),
        ({"findings": (Finding("inductor", "inductor: Not enough SMs"),)}, "Not enough SMs"),
        ({"probe_repeats": 60}, "the probe took 41.7%"),
        ({"latency": latency_samples((2.5,), (0.02,), "v3 bfloat16 cuda")}, "probe 'v3"),
        ({"memory": PeakMemory(11_000_000_000, "")}, "planned 8.55 GB (+28.7%)"),
        ({"host_share": None}, "launching takes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_as_expected_is_said(
    change: dict[str, object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = checked(replace(healthy(), **change), tmp_path, monkeypatch)  # type: ignore[arg-type]
    wrong = [line for line in lines if line.startswith("NOT AS EXPECTED")]
    assert any(said in line for line in wrong)


def test_a_day_without_a_record_says_so(tmp_path: Path) -> None:
    (line,) = check_run(tmp_path)
    assert line.startswith("NOT AS EXPECTED: no record of the ladder")


def test_the_limits_add_up_to_less_than_25_minutes(tmp_path: Path) -> None:
    planned = day.steps(tmp_path, rehearse=False)
    assert [each.name for each in planned] == ["versions", "cuda-tests", "plan", "ladder", "gate"]
    assert sum(each.limit_s for each in planned) < 25 * 60


def test_a_step_that_fails_or_hangs_does_not_stop_the_day(tmp_path: Path) -> None:

    python = (sys.executable, "-c")
    failing = day.run(day.Step("fails", (*python, "raise SystemExit(3)"), 60), tmp_path)
    hanging = day.run(day.Step("hangs", (*python, "import time; time.sleep(60)"), 0.5), tmp_path)
    assert (failing.said, hanging.said) == ("exit code 3", "ended after 0 s")
    assert "| fails | exit code 3 |" in day.summary([failing, hanging], ["ok: all"])
