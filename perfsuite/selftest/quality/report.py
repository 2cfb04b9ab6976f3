"""The catalogue's table in two dialects. A renderer returns text and computes nothing new."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from perfsuite.results.images import QualityVerdict
from perfsuite.selftest.quality.trial import Report, Trial

COLUMNS = ("fault", "caught by", "exactness", "lossy", "layers", "margin")
LEGEND = (
    "exactness: PSNR of the worst of the exactness images in fp32, threshold 80 dB; lossy: SSIM "
    "and PSNR of the worst image at reduced precision (of four images where these fail); layers: "
    "relative error and gain of the worst quantised layer; margin: how far beyond its threshold "
    "the clearest check found it, in dB of error"
)


def summary(report: Report) -> str:
    """One line: how many faults were caught, and what was called a fault that is none."""
    total = len(report.faults)
    share = report.caught / total if total else 0.0
    alarms = ", ".join(trial.name for trial in report.alarms) or "none"
    passed = len(report.harmless) + len(report.healthy) - len(report.alarms)
    return (
        f"{report.caught} of {total} planted faults caught ({share:.1%}); "
        f"{passed} healthy tiers and harmless changes passed, called a fault: {alarms}"
    )


def cells(trial: Trial) -> tuple[str, ...]:
    """Text for each of `COLUMNS`."""
    margin = margin_db(trial)
    return (
        trial.name,
        ", ".join(trial.caught_by) or ("MISSED" if trial.expected else "-"),
        _exactness(trial.exactness),
        _lossy(trial.lossy),
        _layers(trial),
        "-" if margin is None else f"{margin:+.1f} dB",
    )


def margin_db(trial: Trial) -> float | None:
    """Margin of the clearest check: above 0 it failed by so much, below 0 it passed by so much."""
    margins = [
        10 * finding.margin
        for verdict in (trial.exactness, trial.lossy)
        if verdict is not None
        for finding in verdict.findings
    ]
    if trial.layers is not None:
        margins += trial.layers.margins_db
    known = [margin for margin in margins if margin == margin]
    return max(known) if known else None


def render_console(report: Report, *, width: int) -> str:
    """The tables for a terminal."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=max(width, 100), highlight=False, no_color=True)
    sections = (
        ("planted faults", report.faults),
        ("harmless changes", report.harmless),
        ("healthy tiers", report.healthy),
    )
    for title, trials in sections:
        if not trials:
            continue
        table = Table(box=None, title=title, title_justify="left", pad_edge=False)
        for name in COLUMNS:
            table.add_column(name, no_wrap=name not in ("fault", "caught by"))
        for trial in trials:
            table.add_row(*cells(trial))
        console.print(table)
        console.print()
    console.print(LEGEND)
    console.print(summary(report))
    for trial in report.faults:
        if not trial.caught_by:
            console.print(f"missed: {trial.name}")
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def render_markdown(report: Report) -> str:
    """The section that the documentation keeps."""
    lines = [
        "# Self-test of the quality gate",
        "",
        f"`perfsuite selftest --quality` on `{report.checkpoint}` ({report.identity}).",
        "",
        f"**{summary(report)}.**",
        "",
        f"{LEGEND[0].upper()}{LEGEND[1:]}.",
        "",
        "## Planted faults",
        "",
        *_markdown_table(report.faults, with_source=True),
    ]
    for title, trials in (
        ("Harmless changes", report.harmless),
        ("Healthy tiers", report.healthy),
    ):
        if trials:
            lines += ["", f"## {title}", "", *_markdown_table(trials, with_source=False)]
    return "\n".join(lines) + "\n"


def _markdown_table(trials: tuple[Trial, ...], *, with_source: bool) -> list[str]:
    header = (*COLUMNS, "imitates") if with_source else COLUMNS
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    for trial in trials:
        row = list(cells(trial))
        if with_source:
            row.append(f"{trial.imitates} ([report]({trial.url}))" if trial.url else trial.imitates)
        lines.append(f"| {' | '.join(row)} |")
    return lines


def _exactness(verdict: QualityVerdict | None) -> str:
    if verdict is None:
        return "-"
    noises = [score.psnr_db for score in verdict.scores if score.psnr_db is not None]
    if verdict.worst.ssim is None:
        return "no score"
    return f"{min(noises):.1f} dB" if noises else "equal"


def _lossy(verdict: QualityVerdict | None) -> str:
    if verdict is None:
        return "-"
    found = {finding.metric: finding.value for finding in verdict.findings}
    if verdict.worst.ssim is None:
        return "no score"
    noise = found.get("worst_psnr_db")
    said = f"{verdict.worst.ssim:.4f}"
    return said if noise is None or noise == float("inf") else f"{said} {noise:.1f} dB"


def _layers(trial: Trial) -> str:
    if trial.layers is None or not trial.layers.scores:
        return "-"
    worst = trial.layers.scores[0]
    return f"{worst.relative_error:.4f} x{worst.gain:.3f}"
