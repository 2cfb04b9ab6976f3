"""The run record: everything that one session measured and judged, as one JSON file.

It is written after every tier, so that what was measured survives a crash, an out-of-memory error
or Ctrl-C.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from perfsuite.errors import OutputError
from perfsuite.results.counters import TierCounters
from perfsuite.results.machine import Environment
from perfsuite.results.method import Finding, Method
from perfsuite.results.migrate import SCHEMA, migrated
from perfsuite.results.policy import Policy
from perfsuite.results.profile import TierProfile
from perfsuite.results.samples import Measurement
from perfsuite.results.verdict import Metric, Outcome, Verdict, gravest
from perfsuite.storage import read_json, write_json
from perfsuite.workload import Asked, Workload


@dataclass(frozen=True)
class TierResult:
    """One tier's part of a run; what was not measured is None.

    Attributes:
        tier: its name.
        published_s: seconds per image in the tutorial.
        measurement: raw samples and what else was measured.
        verdicts: at most one for each metric.
        findings: what building it brought to light.
        error: first line of what stopped it.
        workload: names the workload, in a session that measured several; None in others.
        method: what the tier resolved to; None in records that are older than it.
        latency_workload: what was timed; None in records that are older than it.
        quality_workload: what was scored; None in records that are older than it.
        published_against_s: seconds per image that the source of `published_s` gives for the
            checkpoint without the method; None where it is the tutorial.
        counters: what it asks of torch; None if that was not counted.
        profile: of one image; None if that was not asked for.
        asked: names checkpoint and workload to a command; None in records that are older than it.
    """

    tier: str
    published_s: float | None = None
    measurement: Measurement | None = None
    verdicts: tuple[Verdict, ...] = ()
    findings: tuple[Finding, ...] = ()
    error: str | None = None
    workload: str | None = None
    method: Method | None = None
    latency_workload: Workload | None = None
    quality_workload: Workload | None = None
    published_against_s: float | None = None
    counters: TierCounters | None = None
    profile: TierProfile | None = None
    asked: Asked | None = None

    @property
    def label(self) -> str:
        """Names its row: `fp32`, or `fp32-NAME` where the session measured several workloads."""
        return self.tier if self.workload is None else f"{self.tier}-{self.workload}"

    @property
    def key(self) -> tuple[str, str | None]:
        """Tells it from every other result of its session."""
        return self.tier, self.workload

    def verdict(self, metric: Metric) -> Verdict | None:
        """The verdict on a metric; None if there is none yet."""
        return next((each for each in self.verdicts if each.metric is metric), None)

    def with_verdict(self, verdict: Verdict) -> TierResult:
        """The same with a verdict in the place of what was said of its metric."""
        others = tuple(each for each in self.verdicts if each.metric is not verdict.metric)
        return replace(self, verdicts=(*others, verdict))

    @property
    def overall(self) -> Outcome | None:
        """The gravest verdict of all; None if there is none."""
        return gravest(each.outcome for each in self.verdicts)

    @property
    def image_outcome(self) -> Outcome | None:
        """The gravest verdict on images and layers; None if there is none."""
        return gravest(each.outcome for each in self.verdicts if each.metric.is_of_pictures)


@dataclass(frozen=True)
class RunRecord:
    """One session.

    Attributes:
        schema: version of this layout.
        run_id: names the file; sorts by time.
        environment: where it was made.
        checkpoint: names the checkpoint.
        identity: of its weights.
        latency_workload: what was timed; the first, where there were several workloads.
        quality_workload: what was scored, likewise.
        policy: how strict the gate was.
        baseline: the file that latencies were held against, from the name of the folder of
            baselines on; the first workload's.
        tiers: results, in the order in which they were measured.
        complete: whether the session came to its end.
        host: name of the machine; None in records that are older than it.
        command: what was typed to make it; None in older records.
        confirms: the run whose regressions it measured once more; None for an ordinary one.
        predicted_s: seconds that it was expected to take when that was first known; None where it
            was not, and in records that are older than it.
        took_s: seconds that it took; None until it has ended.
        time_limit_s: seconds that it might take; None for as many as it needed.
    """

    schema: int
    run_id: str
    environment: Environment
    checkpoint: str
    identity: str
    latency_workload: Workload
    quality_workload: Workload
    policy: Policy
    baseline: str | None
    tiers: tuple[TierResult, ...] = ()
    complete: bool = False
    host: str | None = None
    command: str | None = None
    confirms: str | None = None
    predicted_s: float | None = None
    took_s: float | None = None
    time_limit_s: float | None = None

    def result(self, tier: str, workload: str | None = None) -> TierResult:
        """A tier's result at a workload; an empty one if nothing is known of it yet."""
        empty = TierResult(tier, workload=workload)
        return next((each for each in self.tiers if each.key == empty.key), empty)

    def with_result(self, result: TierResult) -> RunRecord:
        """A record in which `result` stands in the place of what was known of its tier."""
        if result.key not in [each.key for each in self.tiers]:
            return replace(self, tiers=(*self.tiers, result))
        updated = (result if each.key == result.key else each for each in self.tiers)
        return replace(self, tiers=tuple(updated))


def save_record(record: RunRecord, folder: Path) -> Path:
    """Write `runs/<id>.json` and `runs/latest.json` under a folder; the path of the first.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = folder / "runs" / f"{record.run_id}.json"
    write_json(path, record)
    write_json(path.with_name("latest.json"), record)
    return path


def load_record(path: Path) -> RunRecord:
    """Read and validate a run record.

    Raises:
        OutputError: it cannot be read.
    """
    hint = "name a file that perfsuite wrote under runs/"
    return read_json(path, RunRecord, schema=SCHEMA, error=OutputError, hint=hint, migrate=migrated)
