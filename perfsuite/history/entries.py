"""What a record adds to the history: values derived from its raw samples, and what they are of."""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Iterator, Mapping

import msgspec

from perfsuite.judge.variance import log_latency, median_interval
from perfsuite.results.ab import GateRecord, TierGate
from perfsuite.results.history import (
    Entry,
    Fact,
    Kind,
    PastRun,
    Quantity,
    Reading,
    SeriesKey,
    Unit,
)
from perfsuite.results.machine import Environment
from perfsuite.results.method import Method
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import Metric, Outcome, Verdict, gravest
from perfsuite.workload import Workload

_UNITS = {
    Metric.LATENCY: Unit.SECONDS,
    Metric.MEMORY: Unit.BYTES,
    Metric.COLD_COMPILE: Unit.SECONDS,
    Metric.WARM_COMPILE: Unit.SECONDS,
    Metric.GRAPH_BREAKS: Unit.COUNT,
    Metric.RECOMPILES: Unit.COUNT,
    Metric.EXACTNESS: Unit.DECIBELS,
}
"""Metrics that are no fractions."""
_LESS_IS_WORSE = frozenset({Metric.IMAGES, Metric.SAME_IMAGES, Metric.EXACTNESS})
FIRST_IMAGE = Quantity("first image", Unit.SECONDS)
"""Of a session; it holds the compilation."""
BUILD = Quantity("build", Unit.SECONDS)
"""Loading and changing the pipeline."""


def quantity_of(metric: Metric) -> Quantity:
    """What a series of a verdict's metric is of."""
    unit = _UNITS.get(metric, Unit.FRACTION)
    return Quantity(metric.value, unit, less_is_worse=metric in _LESS_IS_WORSE)


def entry_of_session(record: RunRecord) -> Entry:
    """A session as it is appended."""
    readings = [each for result in record.tiers for each in _of_tier(record, result)]
    environment = record.environment
    run = PastRun(
        run_id=record.run_id,
        kind=Kind.SESSION,
        at=environment.recorded_at,
        hardware_key=environment.hardware.key,
        hardware=environment.hardware.model,
        checkpoint=record.checkpoint,
        title=", ".join(result.label for result in record.tiers),
        host=record.host,
        versions=_versions(environment, environment.packages),
        outcome=_session_outcome(record),
        complete=record.complete,
    )
    return Entry(run, tuple(readings), msgspec.json.encode(record))


def entry_of_gate(record: GateRecord) -> Entry:
    """A gate as it is appended: its series are of the treatment, the control is their probe."""
    readings = [each for tier in record.tiers for each in _of_gate_tier(record, tier)]
    environment = record.environment
    run = PastRun(
        run_id=record.gate_id,
        kind=Kind.GATE,
        at=environment.recorded_at,
        hardware_key=environment.hardware.key,
        hardware=environment.hardware.model,
        checkpoint=record.checkpoint,
        title=f"{record.treatment.spec} against {record.control.spec}",
        host=record.host,
        versions=_versions(environment, record.treatment.packages or {}, record.treatment.python),
        outcome=gravest(each.outcome for each in record.tiers if each.outcome is not None),
        complete=record.complete,
    )
    return Entry(run, tuple(readings), msgspec.json.encode(record))


def _session_outcome(record: RunRecord) -> Outcome | None:
    """The gravest verdict; a tier that failed counts as a regression."""
    if any(result.error for result in record.tiers):
        return Outcome.REGRESSED
    return gravest(result.overall for result in record.tiers if result.overall is not None)


def _versions(
    environment: Environment, packages: Mapping[str, str], python: str = ""
) -> dict[str, str]:
    """All that may explain a change, by name."""
    versions = {
        **packages,
        "python": python or environment.python,
        "system": environment.system,
    }
    if environment.git_revision is not None:
        versions["revision"] = environment.git_revision
    return versions


def _of_tier(record: RunRecord, result: TierResult) -> Iterator[Reading]:
    measured = result.measurement
    timed = result.latency_workload or record.latency_workload
    facts = _method_facts(record, result.method)

    def key(quantity: Quantity, work: Workload, *more: Fact) -> SeriesKey:
        return SeriesKey(
            Kind.SESSION,
            result.tier,
            quantity,
            record.environment.hardware.key,
            record.checkpoint,
            result.workload,
            (*facts, Fact("workload", work.digest), *more),
        )

    if measured is not None:
        verdict = result.verdict(Metric.LATENCY)
        latency = measured.latency
        yield Reading(
            key(quantity_of(Metric.LATENCY), timed, Fact("probe", latency.probe)),
            statistics.median(latency.samples_s),
            median_interval(latency.samples_s),
            math.exp(log_latency(latency)),
            verdict.outcome if verdict else None,
        )
        if measured.memory.peak_bytes is not None:
            memory = key(quantity_of(Metric.MEMORY), timed, Fact("read", measured.memory.source))
            yield Reading(memory, float(measured.memory.peak_bytes))
        yield Reading(key(BUILD, timed), measured.build_s)
        if measured.warmup_s:
            yield Reading(key(FIRST_IMAGE, timed), measured.warmup_s[0])
    for verdict in result.verdicts:
        if verdict.metric in (Metric.LATENCY, Metric.MEMORY) or verdict.measured is None:
            continue
        work = result.quality_workload or record.quality_workload
        yield _judged(key(quantity_of(verdict.metric), work), verdict)


def _judged(key: SeriesKey, verdict: Verdict) -> Reading:
    assert verdict.measured is not None
    return Reading(key, verdict.measured, verdict.measured_interval, outcome=verdict.outcome)


def _of_gate_tier(record: GateRecord, tier: TierGate) -> Iterator[Reading]:
    control = record.control
    versions = "" if control.packages is None else _digest(control.packages | {"": control.python})
    for verdict in tier.verdicts:
        if verdict.measured is None:
            continue
        work = record.quality_workload if verdict.metric.is_of_pictures else record.latency_workload
        key = SeriesKey(
            Kind.GATE,
            tier.tier,
            quantity_of(verdict.metric),
            record.environment.hardware.key,
            record.checkpoint,
            None,
            (
                Fact("weights", record.identity),
                Fact("threads", str(record.environment.threads)),
                Fact("control", f"{control.spec} {versions}".strip()),
                Fact("workload", work.digest),
            ),
        )
        ratio = None
        if quantity_of(verdict.metric).unit is Unit.SECONDS and verdict.change is not None:
            ratio = 1 + verdict.change
        reading = _judged(key, verdict)
        yield Reading(key, reading.value, reading.interval, ratio, reading.outcome)


def _method_facts(record: RunRecord, method: Method | None) -> tuple[Fact, ...]:
    """What a tier resolved to; older records tell of the weights alone."""
    threads = Fact("threads", str(record.environment.threads))
    if record.environment.hardware.kind != "cpu":
        threads = Fact("threads", "any")  # they compute nothing that is timed there
    if method is None:
        return (Fact("weights", record.identity), threads)
    known = method.configuration
    configuration = {
        "scheduler": known.scheduler if known else "",
        "tokenizers": known.tokenizers if known else "",
        **({each.name: each.digest for each in known.components} if known else {}),
    }
    return (
        Fact("weights", method.identity),
        threads,
        Fact("scheduler", method.scheduler or "its own"),
        Fact("adapter", method.adapter or "none"),
        Fact("changes", ",".join(method.changes) or "none"),
        Fact("configuration", _digest(configuration)),
    )


def _digest(facts: Mapping[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()[:12]
