"""The one table of results: what stands in each cell, for every dialect."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from perfsuite.judge import Outcome
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import LatencyVerdict

COLUMNS = (
    "tier",
    "latency",
    "x fp32",
    "publ.",
    "change",
    "sees",
    "SSIM",
    "peak",
    "verdict",
)
ABSENT = "-"

LEGEND = (
    "latency: median and its 95 % interval; x fp32: speed-up measured here, publ.: in the "
    "tutorial (A100, 1024x1024); change: against the baseline, with 95 % prediction interval; "
    "sees: smallest slowdown that this gate would call a regression (95 % power); SSIM: worst "
    "image against fp32"
)


@dataclass(frozen=True)
class Row:
    """One tier's line.

    Attributes:
        cells: text for each of `COLUMNS`.
        outcome: what the tier's verdict is, for colour.
    """

    cells: tuple[str, ...]
    outcome: Outcome | None


def rows(record: RunRecord) -> tuple[Row, ...]:
    """One row for each tier of a run."""
    references = {each.workload: each for each in record.tiers if each.tier == "fp32"}
    return tuple(_row(result, references.get(result.workload)) for result in record.tiers)


def notes(record: RunRecord) -> tuple[str, ...]:
    """What the table has no room for: reasons, findings and errors, each on one line."""
    lines: list[str] = []
    for result in record.tiers:
        said = (
            result.error,
            result.latency.reason if result.latency else None,
            *_image_notes(result),
            *(finding.message for finding in result.findings),
        )
        lines += [f"{result.label}: {line}" for line in said if line]
    return (*_merged(lines), *_basis(record))


def _basis(record: RunRecord) -> list[str]:
    """Which number was judged, and how much it differs between runs: one of both in a session."""
    for result in record.tiers:
        verdict = result.latency
        if verdict is not None and verdict.basis is not None and verdict.run_spread is not None:
            return [
                f"judged on {verdict.basis.value}, which differs by "
                f"{_percentage(verdict.run_spread)}% between runs of the same code"
            ]
    return []


def verdict_text(result: TierResult) -> str:
    """The tier's one verdict on latency and image together."""
    if result.error:
        return "error"
    if result.image_outcome is Outcome.REGRESSED:
        both = result.latency is not None and result.latency.outcome is Outcome.REGRESSED
        return "slower, worse" if both else "image worse"
    outcome = result.overall
    return outcome.value if outcome else ABSENT


def format_seconds(seconds: float) -> str:
    """Three significant digits in the unit that suits: 188 ms, 7.36 s."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:.0f} s"


def format_bytes(count: int) -> str:
    """Bytes as MiB or GiB."""
    mebibytes = count / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes < 1000 else f"{mebibytes / 1024:.1f} GiB"


def _row(result: TierResult, reference: TierResult | None) -> Row:
    peak = result.measurement.memory.peak_bytes if result.measurement else None
    cells = (
        result.label,
        _latency(result.latency),
        _speed_up(_median_s(reference), _median_s(result)),
        _speed_up(reference.published_s if reference else None, result.published_s),
        _change(result.latency),
        _percent(result.latency.minimum_detectable_effect if result.latency else None),
        _ssim(result),
        format_bytes(peak) if peak is not None else ABSENT,
        verdict_text(result),
    )
    return Row(cells, result.overall)


def _image_notes(result: TierResult) -> list[str]:
    """Reasons, notes and pictures of the checks of images and layers."""
    said: list[str] = []
    for name, verdict in (("", result.quality), ("exactness: ", result.exactness)):
        if verdict is not None:
            said += [f"{name}{verdict.reason}"] if verdict.reason else []
            said += [*verdict.notes, *(f"picture: {path}" for path in verdict.pictures)]
    if result.layers is not None and result.layers.reason:
        said.append(result.layers.reason)
    return said


def _ssim(result: TierResult) -> str:
    worst = result.quality.worst.ssim if result.quality else None
    return ABSENT if worst is None else f"{worst:.4f}"


def _median_s(result: TierResult | None) -> float | None:
    if result is None or result.measurement is None:
        return None
    return statistics.median(result.measurement.latency.samples_s)


def _speed_up(reference_s: float | None, own_s: float | None) -> str:
    return f"{reference_s / own_s:.2f}" if reference_s and own_s else ABSENT


def _latency(verdict: LatencyVerdict | None) -> str:
    if verdict is None:
        return ABSENT
    low, high = verdict.measured_interval_s
    width = max(high - verdict.measured_s, verdict.measured_s - low) / verdict.measured_s
    return f"{format_seconds(verdict.measured_s)} ±{_percentage(width)}%"


def _change(verdict: LatencyVerdict | None) -> str:
    if verdict is None or verdict.change is None or verdict.change_interval is None:
        return ABSENT
    low, high = verdict.change_interval
    sign = "+" if verdict.change >= 0 else "-"
    return f"{sign}{_percentage(abs(verdict.change))} ±{_percentage((high - low) / 2)}%"


def _percent(fraction: float | None) -> str:
    return ABSENT if fraction is None else f"{_percentage(fraction)}%"


def _percentage(fraction: float) -> str:
    """One decimal below ten, so that a row fits into 80 columns."""
    percentage = fraction * 100
    return f"{percentage:.1f}" if percentage < 9.95 else f"{percentage:.0f}"


def _merged(lines: list[str]) -> list[str]:
    """Lines that say the same of several tiers become one, which names them all."""
    tiers: dict[str, list[str]] = {}
    for line in lines:
        tier, _, said = line.partition(": ")
        tiers.setdefault(said, []).append(tier)
    return [f"{', '.join(names)}: {said}" for said, names in tiers.items()]
