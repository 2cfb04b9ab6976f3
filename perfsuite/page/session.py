"""A session's part of the page."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from perfsuite.page.baseline import recorded_before
from perfsuite.page.change import ChangeChart, change_chart
from perfsuite.page.ladder import Cost, Rung, StageRow, costs, stage_rows, waterfall
from perfsuite.page.pictures import Album, Gallery
from perfsuite.report.headline import session_headline, session_outcome
from perfsuite.report.session import heading, notes
from perfsuite.results.method import Finding
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import Metric, Outcome


@dataclass(frozen=True)
class WorkloadPart:
    """What a session measured of one workload.

    Attributes:
        name: of the workload; None where there was only one.
        rungs: the waterfall.
        chart: distributions; None if nothing was timed.
        costs: memory and start.
        galleries: images of the tiers whose images were kept.
        counted: tiers whose calls were counted.
        stages: where the time of an image goes.
    """

    name: str | None
    rungs: tuple[Rung, ...]
    chart: ChangeChart | None
    costs: tuple[Cost, ...]
    galleries: tuple[Gallery, ...]
    counted: tuple[TierResult, ...] = ()
    stages: tuple[StageRow, ...] = ()


@dataclass(frozen=True)
class SessionPart:
    """A session.

    Attributes:
        record: what it is made of.
        headline: the verdict in one sentence.
        outcome: the gravest.
        about: what was measured, where, and with which libraries.
        counts: how many tiers have which overall verdict.
        workloads: in their order.
        notes: reasons and findings, each on one line.
        findings: what the page lacks, and why.
        command: what repeats it.
    """

    record: RunRecord
    headline: str
    outcome: Outcome | None
    about: str
    counts: tuple[tuple[Outcome, int], ...]
    workloads: tuple[WorkloadPart, ...]
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    command: str

    @property
    def scored(self) -> tuple[TierResult, ...]:
        """Tiers with a verdict on images."""
        return tuple(each for each in self.record.tiers if each.verdict(Metric.IMAGES))


def session_part(record: RunRecord, folder: Path, album: Album) -> SessionPart:
    """Everything that a page shows of a session.

    Args:
        record: the session.
        folder: where its record lies.
        album: takes its pictures.
    """
    known = recorded_before(record, folder)
    workloads = []
    for name in dict.fromkeys(each.workload for each in record.tiers):
        results = [each for each in record.tiers if each.workload == name]
        galleries = [_gallery(each, record, folder, album) for each in results]
        workloads.append(
            WorkloadPart(
                name,
                waterfall(record, name),
                change_chart(results, known.runs),
                costs(record, name),
                tuple(each for each in galleries if each is not None),
                tuple(each for each in results if each.counters is not None),
                stage_rows(record, name),
            )
        )
    outcomes = Counter(each.overall for each in record.tiers if each.overall is not None)
    return SessionPart(
        record,
        session_headline(record),
        session_outcome(record),
        heading(record),
        tuple(sorted(outcomes.items(), key=lambda item: -item[0].gravity)),
        tuple(workloads),
        notes(record),
        known.findings,
        record.command or _command(record),
    )


def _gallery(result: TierResult, record: RunRecord, folder: Path, album: Album) -> Gallery | None:
    verdict = result.verdict(Metric.IMAGES)
    work = result.quality_workload or record.quality_workload
    longest = max(work.width, work.height)
    evidence = verdict.images if verdict else None
    return album.gallery(result.label, result.tier, evidence, folder, longest)


def _command(record: RunRecord) -> str:
    """What measures the same, of a record that does not tell what was typed."""
    work = record.latency_workload
    tiers = ",".join(dict.fromkeys(each.tier for each in record.tiers))
    return shlex.join(
        [
            "pytest",
            "-m",
            "perf",
            *("--perf-checkpoint", record.checkpoint),
            *(("--perf-tiers", tiers) if tiers else ()),
            *("--perf-steps", str(work.steps)),
            *("--perf-size", f"{work.width}x{work.height}"),
            *("--perf-batch", str(work.batch_size)),
            *("--perf-threads", str(record.environment.threads)),
        ]
    )
