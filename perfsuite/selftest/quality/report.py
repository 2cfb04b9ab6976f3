"""The report of the quality gate's self-test."""

from __future__ import annotations

from perfsuite.report.table import Block, Column, Document, Heading, Lines, Row, Table
from perfsuite.results.verdict import Outcome, Verdict
from perfsuite.selftest.quality.trial import Report, Trial

COLUMNS = (
    Column("fault", is_text=True),
    Column("caught by", is_text=True),
    Column("exactness", sheds=3),
    Column("lossy", sheds=2),
    Column("layers", sheds=1),
    Column("pictures", is_text=True, sheds=4),
    Column("margin"),
)
_SOURCE = Column("imitates", is_text=True, on_pages_only=True)
LEGEND = (
    "exactness: PSNR of the worst of the exactness images in fp32, threshold 80 dB; lossy: SSIM "
    "and PSNR of the worst image at reduced precision (of four images where these fail); layers: "
    "relative error and gain of the worst quantised layer; pictures: of a method, what is not as "
    "good, and PSNR to its own healthy pictures, threshold 50 dB; margin: how far beyond its "
    "threshold the clearest check found it, in dB of error"
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
        _pictures(trial.pictures),
        "-" if margin is None else f"{margin:+.1f} dB",
    )


def margin_db(trial: Trial) -> float | None:
    """Margin of the clearest check: above 0 it failed by so much, below 0 it passed by so much."""
    margins = [
        10 * check.margin
        for verdict in (trial.exactness, trial.lossy)
        if verdict is not None and verdict.images is not None
        for check in verdict.images.checks
    ]
    if trial.layers is not None and trial.layers.layers is not None:
        margins += trial.layers.layers.margins_db
    known = [margin for margin in margins if margin == margin]
    return max(known) if known else None


def quality_document(report: Report) -> Document:
    """Planted faults, harmless changes and healthy tiers, each in a table."""
    missed = tuple(f"missed: {trial.name}" for trial in report.faults if not trial.caught_by)
    made = f"`perfsuite selftest --quality` on `{report.checkpoint}` ({report.identity})"
    blocks: list[Block] = [
        Heading("Self-test of the quality gate"),
        Lines((made,)),
        Lines((summary(report), *missed), bold=True),
    ]
    for title, trials in (
        ("Planted faults", report.faults),
        ("Harmless changes", report.harmless),
        ("Healthy tiers", report.healthy),
    ):
        if trials:
            blocks += [Heading(title, 2), _table(trials)]
    return Document((*blocks, Lines((LEGEND,), dim=True)))


def _table(trials: tuple[Trial, ...]) -> Table:
    rows = tuple(Row((*cells(trial), _imitated(trial)), _outcome(trial)) for trial in trials)
    return Table((*COLUMNS, _SOURCE), rows)


def _imitated(trial: Trial) -> str:
    return f"{trial.imitates} ([report]({trial.url}))" if trial.url else trial.imitates


def _outcome(trial: Trial) -> Outcome | None:
    if bool(trial.caught_by) is (trial.expected is not None):
        return None
    return Outcome.REGRESSED


def _exactness(verdict: Verdict | None) -> str:
    if verdict is None or verdict.images is None:
        return "-"
    if verdict.images.worst.ssim is None:
        return "no score"
    noises = [each.psnr_db for each in verdict.images.scores if each.psnr_db is not None]
    return f"{min(noises):.1f} dB" if noises else "equal"


def _lossy(verdict: Verdict | None) -> str:
    if verdict is None or verdict.images is None:
        return "-"
    worst = verdict.images.worst
    if worst.ssim is None:
        return "no score"
    noise = {check.metric: check.value for check in verdict.images.checks}.get("worst_psnr_db")
    said = f"{worst.ssim:.4f}"
    return said if noise is None or noise == float("inf") else f"{said} {noise:.1f} dB"


def _pictures(verdict: Verdict | None) -> str:
    if verdict is None or verdict.compared is None:
        return "-"
    lost = [each.floor.quality.value for each in verdict.compared.checks if each.is_broken]
    noise = verdict.compared.itself_psnr_db
    itself = [] if noise is None else [f"itself {noise:.1f} dB"]
    return ", ".join((*lost, *itself)) or "as good"


def _layers(trial: Trial) -> str:
    evidence = trial.layers.layers if trial.layers else None
    if evidence is None or not evidence.scores:
        return "-"
    worst = evidence.scores[0]
    if worst.relative_error is None:
        return "no score"
    return f"{worst.relative_error:.4f} x{worst.gain:.3f}"
