"""A bisection for the terminal, and as the body of an issue."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from perfsuite.report.ab import format_change, markdown_row
from perfsuite.report.console import drawn
from perfsuite.report.session import ABSENT
from perfsuite.results.bisection import Answer, BisectRecord, Trial
from perfsuite.results.verdict import Metric

_STYLES = {Answer.GOOD: "green", Answer.BAD: "bold red", Answer.UNKNOWN: "yellow"}
_COLUMNS = ("version", "against", "found", "change", "")


def trial_line(trial: Trial) -> str:
    """One trial as it comes in."""
    return " ".join(part for part in _cells(trial) if part not in ("", ABSENT))


def summary(record: BisectRecord) -> tuple[str, ...]:
    """The answer in a line or a few."""
    found = record.result
    about = f"{record.question.value} of {record.tier} ({record.checkpoint})"
    if found is None:
        return (f"{record.package}, {about}: not found: {record.stopped}",)
    lines = [
        f"{record.package} {found.first_bad} is the first bad version for {about}",
        f"last good: {found.last_good}",
    ]
    if found.unknown:
        lines.append(f"not known, between them: {', '.join(found.unknown)}")
    if record.final is not None:
        measured = record.final
        said = format_change(measured.verdict) if measured.verdict else ABSENT
        what = _note(measured) if said == ABSENT else f"{said} (95 % interval)"
        lines.append(f"{measured.version} against {measured.against}: {what}")
        if measured.answer is not Answer.BAD:
            lines.append("that step alone is not the whole change: it came in more than one")
    return tuple(lines)


def render_bisection_console(record: BisectRecord, *, width: int = 80, colour: bool = False) -> str:
    """The versions as a row of marks, every trial, and the answer."""

    def draw(console: Console) -> None:
        console.print(_marks(record))
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
        for name in _COLUMNS:
            table.add_column(name, no_wrap=bool(name), overflow="fold")
        for trial in record.trials:
            cells = [Text(cell) for cell in _cells(trial)]
            cells[2].stylize(_STYLES[trial.answer])
            table.add_row(*cells)
        console.print(Padding(table, (1, 0)))
        for line in summary(record):
            console.print(Text(line, style="bold"))

    return drawn(draw, width, colour)


def render_bisection_markdown(record: BisectRecord) -> str:
    """Body of an issue: what is worse since when, how it was found, how to see it again."""
    head, *rest = summary(record)
    packages = record.environment.packages
    versions = ", ".join(
        f"{name} {packages[name]}"
        for name in ("torch", "diffusers", "transformers", "torchao")
        if name in packages and name != record.package
    )
    hardware = record.environment.hardware
    command = (
        f'perfsuite bisect --good "{record.good}" --bad "{record.bad}" --tier {record.tier} '
        f"--metric {record.question.value} --checkpoint {record.checkpoint}"
    )
    lines = [f"### {head}", "", *(f"- {line}" for line in rest)]
    lines += [f"- machine: {hardware.model}, {record.environment.threads} threads; {versions}", ""]
    lines += [f"| {' | '.join(name or 'note' for name in _COLUMNS)} |", "| --- " * 5 + "|"]
    lines += [markdown_row(_cells(trial)) for trial in record.trials]
    lines += ["", "To see it again:", "", "```", command, "```", ""]
    return "\n".join(lines)


def _cells(trial: Trial) -> tuple[str, ...]:
    change = format_change(trial.verdict) if trial.verdict is not None else ABSENT
    return trial.version, trial.against, trial.answer.value, change, _note(trial)


def _note(trial: Trial) -> str:
    """The trial's own words, or for images, which have no change in latency, the worst SSIM."""
    verdict = trial.verdict
    if trial.note or verdict is None:
        return trial.note
    if verdict.metric in (Metric.IMAGES, Metric.SAME_IMAGES) and verdict.treatment is not None:
        return f"worst SSIM {verdict.treatment:.4f}"
    return ""


def _marks(record: BisectRecord) -> Text:
    """One mark a version, oldest first: + good, x bad, ? no answer, . not tried."""
    marks = {Answer.GOOD: "+", Answer.BAD: "x", Answer.UNKNOWN: "?"}
    good = record.versions[0]
    known = {each.version: each.answer for each in record.trials if each.against == good}
    text = Text(f"{record.versions[0]} ")
    for version in record.versions:
        answer = known.get(version)
        text.append(marks[answer] if answer else ".", _STYLES[answer] if answer else "dim")
    return text.append(f" {record.versions[-1]}   + good  x bad  ? no answer  . not tried")
