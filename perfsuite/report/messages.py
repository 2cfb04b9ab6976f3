"""Verdicts in one or a few lines, for assertion messages and reasons for skipping."""

from __future__ import annotations

from perfsuite.judge import Outcome
from perfsuite.report.session import format_seconds
from perfsuite.results.images import LayersVerdict, QualityVerdict
from perfsuite.results.verdict import LatencyVerdict


def describe_latency(verdict: LatencyVerdict) -> str:
    """Baseline, measured, interval and tolerance, with the reason if there is one."""
    if verdict.baseline_s is None or verdict.change is None or verdict.change_interval is None:
        return verdict.reason or verdict.outcome.value
    low, high = verdict.change_interval
    parts = [
        f"baseline {format_seconds(verdict.baseline_s)}",
        f"measured {format_seconds(verdict.measured_s)}",
        f"change {verdict.change:+.1%} of {_basis(verdict)} "
        f"(95 % interval {low:+.1%} to {high:+.1%})",
        f"tolerance {verdict.tolerance:.1%}",
        f"smallest slowdown this gate can see {verdict.minimum_detectable_effect:.1%}",
    ]
    head = f"latency {verdict.outcome.value}"
    reason = f"; {verdict.reason}" if verdict.reason else ""
    return f"{head}: {', '.join(parts)}{reason}"


def _basis(verdict: LatencyVerdict) -> str:
    return verdict.basis.value if verdict.basis is not None else "latency"


def describe_quality(verdict: QualityVerdict) -> str:
    """Every score with its threshold; where it failed, what kind of change it is."""
    said = ", ".join(str(finding) for finding in verdict.findings)
    if verdict.outcome is Outcome.PASSED:
        lines = [f"images passed: {said} ({verdict.thresholds.source})"]
    else:
        lines = [f"images {verdict.outcome.value}: {verdict.reason}"]
        lines += [f"scores: {said} ({verdict.thresholds.source})"] if said else []
    lines += [*verdict.notes, *(f"picture: {path}" for path in verdict.pictures)]
    return "\n".join(lines)


def describe_layers(verdict: LayersVerdict) -> str:
    """The worst layer and the thresholds."""
    if verdict.outcome is not Outcome.PASSED:
        return f"quantised layers {verdict.outcome.value}: {verdict.reason}"
    if not verdict.scores:
        return "quantised layers passed: there are none"
    worst, thresholds = verdict.scores[0], verdict.thresholds
    return (
        f"quantised layers passed: worst of {len(verdict.scores)} is {worst.layer}, "
        f"relative error {worst.relative_error:.4f}, at most {thresholds.relative_error:.4f} "
        f"({thresholds.source})"
    )
