"""What records add to the history."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from perfsuite.history.entries import entry_of_gate, entry_of_session
from perfsuite.results.ab import load_gate
from perfsuite.results.history import Fact, Kind, Reading, Unit
from perfsuite.results.method import Configuration, Method
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import Outcome
from tests.unit.samples import (
    hardware,
    latency_samples,
    latency_verdict,
    measurement,
    quality_verdict,
    record,
)
from tests.unit.test_results_migrate import OLD


def session() -> RunRecord:
    return record(
        TierResult(
            "int8",
            measurement=measurement("int8", latency_samples((0.2, 0.4, 0.3))),
            verdicts=(latency_verdict(), quality_verdict(Outcome.REGRESSED)),
        )
    )


def by_name(readings: tuple[Reading, ...]) -> dict[str, Reading]:
    return {reading.key.quantity.name: reading for reading in readings}


def test_a_session_adds_its_latency_as_a_multiple_of_the_probe_and_all_else_it_measured() -> None:
    entry = entry_of_session(session())
    found = by_name(entry.readings)
    latency = found["latency"]
    assert (latency.value, latency.interval) == (0.3, (0.2, 0.4))
    assert latency.normalised == pytest.approx(10)
    assert latency.outcome is Outcome.PASSED
    assert found["peak memory"].value == 3 << 30
    assert found["build"].value == 0.5
    assert found["first image"].value == 1.0
    images = found["images"]
    assert (images.value, images.outcome) == (0.97, Outcome.REGRESSED)
    assert images.key.quantity.less_is_worse
    assert entry.run.outcome is Outcome.REGRESSED
    assert entry.run.versions["revision"] == "abc1234"
    assert msgspec.json.decode(entry.record, type=RunRecord) == session()


def test_what_was_not_measured_is_no_reading() -> None:
    """Absent is not zero."""
    failed = TierResult("bf16", error="RuntimeError: no")
    without = replace(measurement(peak_bytes=None), warmup_s=())
    entry = entry_of_session(record(failed, TierResult("fp32", measurement=without)))
    assert set(by_name(entry.readings)) == {"latency", "build"}
    assert {reading.key.tier for reading in entry.readings} == {"fp32"}
    assert entry.run.outcome is Outcome.REGRESSED, "a tier that failed"


def test_the_method_and_the_threads_of_a_cpu_tell_series_apart() -> None:
    method = Method("pocket", "sha256:1", Configuration("Euler", (), ""), ("int8",), "w")
    known = session().tiers[0]
    plain = session()
    entries = [
        entry_of_session(each)
        for each in (
            plain,
            replace(plain, tiers=(replace(known, method=method),)),
            replace(plain, tiers=(replace(known, method=replace(method, changes=("other",))),)),
            replace(plain, environment=replace(plain.environment, threads=2)),
        )
    ]
    assert len({by_name(each.readings)["latency"].key.digest for each in entries}) == 4


def test_the_threads_of_an_accelerators_host_do_not() -> None:
    plain = session()
    on_gpu = replace(plain.environment, hardware=hardware(kind="cuda", model="H100", cores=None))
    one, other = (
        entry_of_session(replace(plain, environment=replace(on_gpu, threads=threads)))
        for threads in (1, 2)
    )
    assert [each.key for each in one.readings] == [each.key for each in other.readings]


def test_keys_name_their_differences_and_leave_out_what_one_does_not_tell() -> None:
    latency = entry_of_session(session()).readings[0].key
    other = replace(latency, tier="fp32", facts=(Fact("threads", "4"),))
    differing = latency.differences(other)
    assert [(own.name, own.value, their.value) for own, their in differing] == [
        ("tier", "int8", "fp32"),
        ("threads", "1", "4"),
    ]
    assert latency.differences(latency) == ()


def test_a_gate_adds_its_treatment_with_the_control_as_probe() -> None:
    gate = load_gate(OLD / "gate.json")
    entry = entry_of_gate(gate)
    assert entry.run.kind is Kind.GATE
    assert entry.run.title == f"{gate.treatment.spec} against {gate.control.spec}"
    latency = next(reading for reading in entry.readings if reading.key.quantity.name == "latency")
    verdict = next(each for each in gate.tiers[0].verdicts if each.metric.value == "latency")
    assert latency.value == verdict.measured
    assert verdict.change is not None
    assert latency.normalised == 1 + verdict.change
    assert latency.key.quantity.unit is Unit.SECONDS
    packages = gate.treatment.packages or {}
    assert packages.items() <= entry.run.versions.items()
