"""The ladder as a waterfall: what each tier takes, and what it saved of the one before."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.stages import STAGES


@dataclass(frozen=True)
class Rung:
    """One tier of the waterfall; widths are percent of the longest bar.

    Attributes:
        label: names the tier.
        tier: whose colour it has.
        median_s: measured, seconds per call.
        own: width of its bar.
        before: width of the bar of the tier before it; None for the first.
        speed_up: over fp32, measured.
        published_s: seconds in the tutorial.
        published_speed_up: over fp32, there.
        published: width of the published bar: its share of fp32, on the scale of the measured.
    """

    label: str
    tier: str
    median_s: float
    own: float
    before: float | None = None
    speed_up: float | None = None
    published_s: float | None = None
    published_speed_up: float | None = None
    published: float | None = None


def waterfall(record: RunRecord, workload: str | None) -> tuple[Rung, ...]:
    """The tiers of a workload that were measured, in their order."""
    results = [each for each in record.tiers if each.workload == workload and each.measurement]
    medians = {each.tier: median_s(each) for each in results}
    longest = max(medians.values(), default=0.0)
    first_s = medians.get("fp32")
    published = {each.tier: each.published_s for each in results}
    rungs: list[Rung] = []
    for result in results:
        own_s, stated_s, whole_s = medians[result.tier], result.published_s, published.get("fp32")
        share = stated_s / whole_s if stated_s and whole_s and first_s else None
        rungs.append(
            Rung(
                result.label,
                result.tier,
                own_s,
                100 * own_s / longest,
                rungs[-1].own if rungs else None,
                first_s / own_s if first_s else None,
                stated_s,
                1 / share if share else None,
                min(100.0, 100 * share * first_s / longest) if share and first_s else None,
            )
        )
    return tuple(rungs)


def median_s(result: TierResult) -> float:
    """Median latency of a tier that was measured."""
    assert result.measurement is not None
    return statistics.median(result.measurement.latency.samples_s)


@dataclass(frozen=True)
class Cost:
    """What a tier costs beside its latency.

    Attributes:
        result: the tier.
        peak: width of the bar of its peak memory, percent of the largest.
        first_s: seconds of the first image, which holds the compilation.
        first: width of its bar.
        pays_back: images after which a slow start has paid for itself against the tier before; None
            where it starts no slower, or is no faster.
    """

    result: TierResult
    peak: float | None
    first_s: float | None
    first: float | None
    pays_back: int | None


def costs(record: RunRecord, workload: str | None) -> tuple[Cost, ...]:
    """Memory and start of the tiers of a workload."""
    results = [each for each in record.tiers if each.workload == workload and each.measurement]
    peaks = [each.measurement.memory.peak_bytes or 0 for each in results if each.measurement]
    starts = [_first_s(each) for each in results]
    most_peak, most_first = max(peaks, default=0), max(starts, default=0.0)
    found: list[Cost] = []
    plain: TierResult | None = None
    for result, peak, first_s in zip(results, peaks, starts, strict=True):
        pays_back = _pays_back(plain, result) if plain is not None else None
        found.append(
            Cost(
                result,
                100 * peak / most_peak if peak else None,
                first_s or None,
                100 * first_s / most_first if first_s else None,
                pays_back,
            )
        )
        if not starts_slowly(result):
            plain = result
    return tuple(found)


def starts_slowly(result: TierResult) -> bool:
    """Whether the first image holds a compilation: the tier compiles, or it takes that long."""
    if result.method is not None:
        return any(name.startswith("compile") for name in result.method.changes)
    return _first_s(result) > 3 * median_s(result)


def _first_s(result: TierResult) -> float:
    warmup = result.measurement.warmup_s if result.measurement else ()
    return warmup[0] if warmup else 0.0


def _pays_back(plain: TierResult, result: TierResult) -> int | None:
    """Images after which first + (n - 1) median is no longer than that of the plain tier."""
    saved_s = median_s(plain) - median_s(result)
    more_s = (_first_s(result) - median_s(result)) - (_first_s(plain) - median_s(plain))
    if not starts_slowly(result) or saved_s <= 0 or more_s <= 0:
        return None
    return int(more_s / saved_s) + 1


@dataclass(frozen=True)
class StagePart:
    """One stage of an image.

    Attributes:
        name: of the stage.
        seconds: median over passes.
        width: of its part of the bar, percent of the longest bar.
        shade: opacity of the tier's colour, percent.
    """

    name: str
    seconds: float
    width: float
    shade: int


@dataclass(frozen=True)
class StageRow:
    """Where the time of a tier's image goes.

    Attributes:
        label: names the tier.
        tier: whose colour it has.
        parts: in the order of an image.
        total_s: seconds of an image in the passes that were watched.
        step_s: seconds of a step after the first.
    """

    label: str
    tier: str
    parts: tuple[StagePart, ...]
    total_s: float
    step_s: float


def stage_rows(record: RunRecord, workload: str | None) -> tuple[StageRow, ...]:
    """Stages of the tiers of a workload that were watched."""
    watched = [
        (each, each.measurement.stages)
        for each in record.tiers
        if each.workload == workload and each.measurement and each.measurement.stages
    ]
    longest = max((stages.total_s for _, stages in watched), default=0.0)
    return tuple(
        StageRow(
            each.label,
            each.tier,
            tuple(
                StagePart(name, seconds, 100 * seconds / longest, shade)
                for name, shade in SHADES.items()
                if (seconds := stages.typical_s(name)) > 0
            ),
            stages.total_s,
            stages.step_s,
        )
        for each, stages in watched
    )


SHADES = dict(zip(STAGES, (55, 78, 100, 22, 42, 12), strict=True))
"""Opacity of the tier's colour by stage: neighbours are told apart."""
