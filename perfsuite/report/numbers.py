"""Numbers for people: one way to write each kind, in every table and message."""

from __future__ import annotations

from perfsuite.results.verdict import Metric

ABSENT = "-"
"""What stands where nothing was measured."""


def format_seconds(seconds: float | None) -> str:
    """Three significant digits in the unit that suits: 188 ms, 7.36 s."""
    if seconds is None:
        return ABSENT
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:.0f} s"


def format_bytes(count: float | None) -> str:
    """Bytes as MiB or GiB."""
    if count is None:
        return ABSENT
    mebibytes = count / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes < 1000 else f"{mebibytes / 1024:.1f} GiB"


def format_value(metric: Metric, value: float | None) -> str:
    """A verdict's number in the unit of its metric."""
    if value is None:
        return ABSENT
    if metric in (Metric.LATENCY, Metric.COLD_COMPILE, Metric.WARM_COMPILE):
        return format_seconds(value)
    if metric is Metric.MEMORY:
        return format_bytes(value)
    if metric in (Metric.GRAPH_BREAKS, Metric.RECOMPILES, Metric.STRUCTURE):
        return f"{value:,.0f}"
    return f"{value:.1f} dB" if metric is Metric.EXACTNESS else f"{value:.4f}"


def format_percent(fraction: float | None) -> str:
    """One decimal below ten, so that a row fits into 80 columns: '2.4%', '17%'."""
    return ABSENT if fraction is None else f"{_digits(fraction)}%"


def format_signed(fraction: float | None) -> str:
    """A change as a signed percentage; what rounds to nothing is +0.0, never -0.0."""
    if fraction is None:
        return ABSENT
    digits = 1 if abs(fraction) < 0.0995 else 0
    return f"{round(fraction * 100, digits) + 0.0:+.{digits}f}%"


def format_change(change: float | None, interval: tuple[float, float] | None) -> str:
    """A change with half the width of its interval: '+5.1 ±0.8%'."""
    if change is None or interval is None:
        return ABSENT
    return f"{format_signed(change).rstrip('%')} ±{_digits((interval[1] - interval[0]) / 2)}%"


def format_median(value_s: float | None, interval: tuple[float, float] | None) -> str:
    """A median with the larger half of its interval: '283 ms ±2.0%'."""
    if value_s is None or interval is None:
        return ABSENT
    width = max(interval[1] - value_s, value_s - interval[0]) / value_s
    return f"{format_seconds(value_s)} ±{_digits(width)}%"


def _digits(fraction: float) -> str:
    percentage = fraction * 100
    return f"{percentage:.1f}" if percentage < 9.95 else f"{percentage:.0f}"
