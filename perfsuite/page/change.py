"""A tier's samples as a distribution over the baseline's, on one axis for all tiers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from perfsuite.judge.variance import log_latency
from perfsuite.page.scale import Scale, density, outline, spanning
from perfsuite.results.samples import LatencySamples
from perfsuite.results.session import TierResult
from perfsuite.results.verdict import Basis, Metric, Verdict

_TRIMMED = 0.02
"""Part of the samples at either end that the axis need not reach."""
_WIDEST = 0.6
"""A change beyond this is drawn at the edge: one tier must not flatten all others."""


@dataclass(frozen=True)
class Marks:
    """What stands over a distribution; places are percent of the axis.

    Attributes:
        point: the change.
        low: of its interval.
        high: of its interval.
        tolerance: end of the band of changes that nobody minds; it begins at no change.
        detectable: the minimum detectable effect.
    """

    point: float | None = None
    low: float | None = None
    high: float | None = None
    tolerance: float | None = None
    detectable: float | None = None


@dataclass(frozen=True)
class ChangeRow:
    """One tier.

    Attributes:
        label: names it.
        tier: whose colour it has.
        verdict: on its latency; None if there is none.
        samples: of this run.
        baseline_samples: of all recorded runs together.
        baseline_runs: how many.
        area: path of this run's distribution; empty where there is none.
        baseline_area: path of the baseline's; empty where there is none.
        medians: of the recorded runs, percent of the axis.
        marks: over the distributions.
        is_alone: whether the axis is relative to the run's own median, for want of a baseline.
    """

    label: str
    tier: str
    verdict: Verdict | None
    samples: int
    baseline_samples: int
    baseline_runs: int
    area: str
    baseline_area: str
    medians: tuple[float, ...]
    marks: Marks
    is_alone: bool


@dataclass(frozen=True)
class ChangeChart:
    """All tiers over one axis of changes, as fractions."""

    scale: Scale
    rows: tuple[ChangeRow, ...]


@dataclass(frozen=True)
class _Drawn:
    """Samples of a tier as changes against its baseline, or its own median without one."""

    result: TierResult
    own: list[float]
    recorded: list[list[float]]
    verdict: Verdict | None

    @property
    def values(self) -> list[float]:
        """What the axis has to reach."""
        pooled = [*_within(self.own), *_within([v for run in self.recorded for v in run])]
        verdict = self.verdict
        if verdict is not None and verdict.change is not None:
            pooled += [verdict.change, *(verdict.change_interval or ())]
            pooled += [each for each in _limits(verdict) if each is not None]
        return [min(max(value, -_WIDEST), _WIDEST) for value in pooled]


def change_chart(
    results: Sequence[TierResult], runs: dict[str, tuple[LatencySamples, ...]]
) -> ChangeChart | None:
    """Distributions of the tiers that were measured; None if none was."""
    drawn = [_draw(each, runs.get(each.label, ())) for each in results if each.measurement]
    if not drawn:
        return None
    scale = spanning([0.0, *(value for each in drawn for value in each.values)])
    return ChangeChart(scale, tuple(_row(each, scale) for each in drawn))


def _draw(result: TierResult, recorded: tuple[LatencySamples, ...]) -> _Drawn:
    assert result.measurement is not None
    verdict = result.verdict(Metric.LATENCY)
    basis = verdict.basis if verdict is not None and verdict.basis else Basis.PROBE
    own = result.measurement.latency
    judged = verdict is not None and verdict.change is not None
    held = recorded if judged else ()
    centre = _centre(own, verdict, basis)
    return _Drawn(
        result,
        _changes(own, basis, centre),
        [_changes(run, basis, centre) for run in held],
        verdict,
    )


def _centre(own: LatencySamples, verdict: Verdict | None, basis: Basis) -> float:
    """Log of the number that stands for no change: the judge's own, from the verdict's change."""
    if verdict is None or verdict.change is None:
        return log_latency(own, basis)
    return log_latency(own, basis) - math.log1p(verdict.change)


def _changes(run: LatencySamples, basis: Basis, centre: float) -> list[float]:
    pairs = zip(run.samples_s, run.probe_s, strict=True)
    values = [one if basis is Basis.RAW else one / probe for one, probe in pairs]
    return [math.expm1(math.log(value) - centre) for value in values]


def _row(drawn: _Drawn, scale: Scale) -> ChangeRow:
    pooled = [value for run in drawn.recorded for value in run]
    own, recorded = density(drawn.own, scale), density(pooled, scale)
    peak = max((*(own or ()), *(recorded or ())), default=0.0) or 1.0
    return ChangeRow(
        drawn.result.label,
        drawn.result.tier,
        drawn.verdict,
        len(drawn.own),
        len(pooled),
        len(drawn.recorded),
        outline(own, peak) if own else "",
        outline(recorded, peak) if recorded else "",
        tuple(scale.place(statistics.median(run)) for run in drawn.recorded),
        _marks(drawn.verdict, scale),
        is_alone=not drawn.recorded,
    )


def _marks(verdict: Verdict | None, scale: Scale) -> Marks:
    if verdict is None or verdict.change is None:
        return Marks()
    low, high = verdict.change_interval or (verdict.change, verdict.change)
    tolerance, detectable = _limits(verdict)
    return Marks(
        scale.place(verdict.change),
        scale.place(low),
        scale.place(high),
        None if tolerance is None else scale.place(tolerance),
        None if detectable is None else scale.place(detectable),
    )


def _limits(verdict: Verdict) -> tuple[float | None, float | None]:
    return verdict.tolerance, verdict.minimum_detectable_effect


def _within(values: list[float]) -> list[float]:
    """The values without the few at either end."""
    cut = int(len(values) * _TRIMMED)
    return sorted(values)[cut : len(values) - cut]
