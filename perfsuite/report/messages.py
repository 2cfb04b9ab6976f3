"""Verdicts in one or a few lines, for assertion messages and reasons for skipping."""

from __future__ import annotations

from perfsuite.judge import LatencyVerdict, Outcome, QualityVerdict
from perfsuite.report.rows import format_seconds


def describe_latency(verdict: LatencyVerdict) -> str:
    """Baseline, measured, interval and tolerance, with the reason if there is one."""
    if verdict.baseline_s is None or verdict.change is None or verdict.change_interval is None:
        return verdict.reason or verdict.outcome.value
    low, high = verdict.change_interval
    parts = [
        f"baseline {format_seconds(verdict.baseline_s)}",
        f"measured {format_seconds(verdict.measured_s)}",
        f"change {verdict.change:+.1%} with the machine's noise divided out "
        f"(95 % interval {low:+.1%} to {high:+.1%})",
        f"tolerance {verdict.tolerance:.1%}",
        f"smallest slowdown this gate can see {verdict.smallest_visible:.1%}",
    ]
    head = f"latency {verdict.outcome.value}"
    reason = f"; {verdict.reason}" if verdict.reason else ""
    return f"{head}: {', '.join(parts)}{reason}"


def describe_quality(verdict: QualityVerdict) -> str:
    """The worst image's scores and the threshold."""
    if verdict.outcome is Outcome.PASSED:
        return f"images passed: worst SSIM {verdict.worst.ssim:.4f}, at least {verdict.min_ssim}"
    return f"images {verdict.outcome.value}: {verdict.reason}"
