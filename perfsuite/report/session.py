"""A session's report: one row for each tier, and what the table has no room for."""

from __future__ import annotations

import statistics

from perfsuite.report.messages import say, say_all
from perfsuite.report.method_messages import say_compared
from perfsuite.report.numbers import (
    ABSENT,
    format_bytes,
    format_change,
    format_median,
    format_percent,
    format_value,
)
from perfsuite.report.structure import profile_lines, structure_blocks
from perfsuite.report.table import Column, Document, Heading, Legend, Lines, Row, Table
from perfsuite.results.machine import Environment
from perfsuite.results.samples import Measurement
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.workload import NOTHING_ASKED, Workload

MDE = (
    "minimum detectable effect, the smallest slowdown that this gate would call a regression "
    "(95 % power)"
)
COLUMNS = (
    Column("tier", is_text=True),
    Column("latency", about="median and its 95 % interval"),
    Column("x fp32", sheds=3, about="speed-up measured here"),
    Column("publ.", sheds=1, about="speed-up in the tutorial (A100, 1024x1024, its fp32: TF32)"),
    Column("change", about="against the baseline, with 95 % prediction interval"),
    Column("MDE", sheds=4, about=MDE),
    Column("SSIM", sheds=5, about="worst image against fp32"),
    Column("peak", sheds=2, about="memory of the tier alone"),
    Column("verdict", is_text=True),
)
_HOST_BOUND = 0.9
"""Share of a step's time that its launches take, above which a faster CPU would make it faster."""
_ORDER = (
    Metric.LATENCY,
    Metric.STRUCTURE,
    Metric.IMAGES,
    Metric.AS_GOOD,
    Metric.EXACTNESS,
    Metric.LAYERS,
)


def session_document(record: RunRecord, records: str = "") -> Document:
    """The table of a run, with reasons and findings below it.

    Args:
        record: the run.
        records: folder that the paths of pictures start from; it ends with a slash.
    """
    table = Table(COLUMNS, rows(record))
    return Document(
        (
            Heading(heading(record)),
            table,
            Lines(notes(record, records)),
            Legend(table),
            *structure_blocks(record),
        )
    )


def heading(record: RunRecord) -> str:
    """What was measured, where, and with which libraries."""
    packages = record.environment.packages
    versions = ", ".join(
        f"{name} {packages[name]}" for name in ("torch", "diffusers", "torchao") if name in packages
    )
    about = about_work(record.checkpoint, record.latency_workload, record.environment)
    return f"{about}; {versions}"


def about_work(checkpoint: str, work: Workload, environment: Environment) -> str:
    """Checkpoint, workload and machine in one line."""
    threads = "1 thread" if environment.threads == 1 else f"{environment.threads} threads"
    steps = "1 step" if work.steps == 1 else f"{work.steps} steps"
    return (
        f"{checkpoint}, {work.width}x{work.height}, {steps}, "
        f"batch {work.batch_size} on {environment.hardware.model}, {threads}"
    )


def rows(record: RunRecord) -> tuple[Row, ...]:
    """One row for each tier of a run."""
    references = {each.workload: each for each in record.tiers if each.tier == "fp32"}
    return tuple(_row(result, references.get(result.workload)) for result in record.tiers)


def notes(record: RunRecord, records: str = "") -> tuple[str, ...]:
    """What the table has no room for: reasons, findings and errors, each on one line."""
    lines: list[str] = []
    for result in record.tiers:
        said = [
            result.error,
            *(each for metric in _ORDER for each in _said(result, metric, records)),
        ]
        said += [finding.message for finding in result.findings]
        said += profile_lines(result)
        said += _of_measurement(result.measurement)
        lines += [f"{result.label}: {line}" for line in said if line]
    return (*_merged(lines), *_basis(record))


def _of_measurement(measurement: Measurement | None) -> list[str]:
    """What compiling brought to light, who waits for whom, and what the machine did not tell."""
    if measurement is None:
        return []
    said = [finding.message for finding in measurement.findings]
    share = measurement.host_share
    if share is not None and share > _HOST_BOUND:
        said.append(f"the device waits for the CPU: a step is launched in {share:.0%} of its time")
    unknown: dict[str, list[str]] = {}
    for each in measurement.conditions.not_known:
        unknown.setdefault(each.reason, []).append(each.what)
    said += [f"not known: {', '.join(whats)} ({reason})" for reason, whats in unknown.items()]
    return said


def verdict_text(result: TierResult) -> str:
    """The tier's one verdict on latency and image together."""
    if result.error:
        return "error"
    latency = result.verdict(Metric.LATENCY)
    if result.image_outcome is Outcome.REGRESSED:
        both = latency is not None and latency.outcome is Outcome.REGRESSED
        return "slower, worse" if both else "image worse"
    counts = result.verdict(Metric.STRUCTURE)
    worse = [each.metric for each in result.verdicts if each.outcome is Outcome.REGRESSED]
    if counts is not None and worse == [Metric.STRUCTURE]:
        return "structure"
    outcome = result.overall
    return outcome.value if outcome else ABSENT


def _row(result: TierResult, reference: TierResult | None) -> Row:
    peak = result.measurement.memory.peak_bytes if result.measurement else None
    latency = result.verdict(Metric.LATENCY) or Verdict(Metric.LATENCY, Outcome.INVALID)
    images = result.verdict(Metric.IMAGES)
    cells = (
        result.label,
        format_median(latency.measured, latency.measured_interval),
        _speed_up(_median_s(reference), _median_s(result)),
        _published_speed_up(reference, result),
        format_change(latency.change, latency.change_interval),
        format_percent(latency.minimum_detectable_effect),
        format_value(Metric.IMAGES, images.measured if images else None),
        format_bytes(peak),
        verdict_text(result),
    )
    return Row(cells, Outcome.REGRESSED if result.error else result.overall)


def _said(result: TierResult, metric: Metric, records: str) -> list[str]:
    """Reasons, notes and pictures of one verdict."""
    verdict = result.verdict(metric)
    if verdict is None:
        return []
    asked = result.asked or NOTHING_ASKED
    name = "exactness: " if metric is Metric.EXACTNESS else ""
    said = [f"{name}{say_all(verdict.reasons, asked=asked)}"] if verdict.reasons else []
    said += [say(note, asked=asked) for note in verdict.notes]
    if verdict.compared is not None:
        said.append(say_compared(verdict.compared))
    evidence = verdict.images or verdict.compared
    pictures = evidence.pictures if evidence else ()
    return [*said, *(f"picture: {records}{path}" for path in pictures)]


def _basis(record: RunRecord) -> list[str]:
    """Which number was judged, and how much it differs between runs: one of both in a session."""
    for result in record.tiers:
        verdict = result.verdict(Metric.LATENCY)
        if verdict is not None and verdict.basis is not None and verdict.run_spread is not None:
            return [
                f"judged on {verdict.basis.value}, which differs by "
                f"{format_percent(verdict.run_spread)} between runs of the same code"
            ]
    return []


def _median_s(result: TierResult | None) -> float | None:
    if result is None or result.measurement is None:
        return None
    return statistics.median(result.measurement.latency.samples_s)


def _published_speed_up(reference: TierResult | None, result: TierResult) -> str:
    against_s = result.published_against_s or (reference.published_s if reference else None)
    return _speed_up(against_s, result.published_s)


def _speed_up(reference_s: float | None, own_s: float | None) -> str:
    return f"{reference_s / own_s:.2f}" if reference_s and own_s else ABSENT


def _merged(lines: list[str]) -> list[str]:
    """Lines that say the same of several tiers become one, which names them all."""
    tiers: dict[str, list[str]] = {}
    for line in lines:
        tier, _, said = line.partition(": ")
        tiers.setdefault(said, []).append(tier)
    return [f"{', '.join(names)}: {said}" for said, names in tiers.items()]
