"""The recorded runs that a session's latencies were held against, for drawing both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from perfsuite.errors import BaselineError
from perfsuite.results.method import Finding
from perfsuite.results.migrate import SCHEMA, migrated
from perfsuite.results.samples import LatencySamples
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.storage import read_json
from perfsuite.stores.baselines import Baseline, comparable
from perfsuite.workload import DEFAULT_WORKLOAD, labelled

Runs = Mapping[str, tuple[LatencySamples, ...]]
"""By the label of a tier's result."""


@dataclass(frozen=True)
class KnownRuns:
    """What is known of the runs that stood in the baseline when a session was made.

    Attributes:
        runs: samples by the label of a tier's result.
        findings: why some are not known.
    """

    runs: dict[str, tuple[LatencySamples, ...]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def recorded_before(record: RunRecord, folder: Path) -> KnownRuns:
    """Baseline runs that are older than a session and compare with it.

    Args:
        record: the session.
        folder: of its record; a baseline that is not where the record says is looked for nearby.
    """
    if record.baseline is None:
        return KnownRuns()
    runs: dict[str, tuple[LatencySamples, ...]] = {}
    findings: list[Finding] = []
    for workload in dict.fromkeys(each.workload for each in record.tiers):
        results = [each for each in record.tiers if each.workload == workload]
        path = _find(record, workload, folder)
        if path is None:
            name = Path(record.baseline).name
            problem = f"{name} is not here, so distributions stand alone"
            findings.append(Finding("baseline", problem))
            continue
        try:
            baseline = read_json(
                path, Baseline, schema=SCHEMA, error=BaselineError, hint="", migrate=migrated
            )
        except BaselineError as error:
            findings.append(Finding("baseline", f"{error.problem}: distributions stand alone"))
            continue
        runs |= _of(baseline, record, results)
    return KnownRuns(runs, tuple(findings))


def _of(
    baseline: Baseline, record: RunRecord, results: list[TierResult]
) -> dict[str, tuple[LatencySamples, ...]]:
    methods = {each.tier: each.method for each in results if each.method is not None}
    kept = comparable(baseline, record.environment, methods).baseline
    found = {}
    for result in results:
        tier = kept.tiers.get(result.tier) if kept else None
        if tier is None or result.measurement is None:
            continue
        probe = result.measurement.latency.probe
        runs = tuple(
            run.latency
            for run in tier.runs
            if run.run_id < record.run_id and run.latency.probe == probe
        )
        if runs:
            found[result.label] = runs
    return found


def _find(record: RunRecord, workload: str | None, folder: Path) -> Path | None:
    """The file as the record names it, or of the same name where sessions keep baselines."""
    stated = Path(record.baseline or "")
    if workload not in (None, DEFAULT_WORKLOAD):
        stated = stated.with_name(f"{labelled(record.checkpoint, workload)}.json")
    nearby = Path(record.environment.hardware.key, stated.name)
    places = (stated, Path("baselines") / nearby, folder.parent / "baselines" / nearby)
    return next((place for place in places if place.is_file()), None)
