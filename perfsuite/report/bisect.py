"""A bisection's report: the answer, the versions as a row of marks, and every trial."""

from __future__ import annotations

from perfsuite.report.messages import COMMAND, say_all
from perfsuite.report.numbers import ABSENT, format_change
from perfsuite.report.table import Code, Column, Document, Heading, Lines, Row, Table
from perfsuite.results.bisection import Answer, BisectRecord, Trial
from perfsuite.results.verdict import Outcome, Verdict

COLUMNS = (
    Column("version", is_text=True),
    Column("against", is_text=True, sheds=1),
    Column("found", is_text=True),
    Column("change", is_text=True),
    Column("", is_text=True),
)
_OUTCOMES = {
    Answer.GOOD: Outcome.PASSED,
    Answer.BAD: Outcome.REGRESSED,
    Answer.UNKNOWN: Outcome.INCONCLUSIVE,
}
_MARKS = {Answer.GOOD: "+", Answer.BAD: "x", Answer.UNKNOWN: "?"}


def bisection_document(record: BisectRecord) -> Document:
    """What is worse since when, how it was found, how to see it again."""
    head, *rest = summary(record)
    rows = tuple(Row(trial_cells(trial), _OUTCOMES[trial.answer]) for trial in record.trials)
    return Document(
        (
            Heading(head),
            Lines((*rest, _machine(record))),
            Lines((_marks(record),)),
            Table(COLUMNS, rows),
            Lines(("To see it again:",)),
            Code(command(record)),
        )
    )


def trial_line(trial: Trial) -> str:
    """One trial as it comes in."""
    return " ".join(part for part in trial_cells(trial) if part not in ("", ABSENT))


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
        said = _change(measured.verdict)
        what = _note(measured) if said == ABSENT else f"{said} (95 % interval)"
        lines.append(f"{measured.version} against {measured.against}: {what}")
        if measured.answer is not Answer.BAD:
            lines.append("that step alone is not the whole change: it came in more than one")
    return tuple(lines)


def _machine(record: BisectRecord) -> str:
    packages = record.environment.packages
    versions = ", ".join(
        f"{name} {packages[name]}"
        for name in ("torch", "diffusers", "transformers", "torchao")
        if name in packages and name != record.package
    )
    hardware, threads = record.environment.hardware, record.environment.threads
    return f"machine: {hardware.model}, {threads} threads; {versions}"


def command(record: BisectRecord) -> str:
    """What repeats a bisection."""
    return (
        f'perfsuite bisect --good "{record.good}" --bad "{record.bad}" --tier {record.tier} '
        f"--metric {record.question.value} --checkpoint {record.checkpoint}"
    )


def trial_cells(trial: Trial) -> tuple[str, ...]:
    """Version, against which, what was found, the change, and the trial's own words."""
    return (
        trial.version,
        trial.against,
        trial.answer.value,
        _change(trial.verdict),
        _note(trial),
    )


def _change(verdict: Verdict | None) -> str:
    if verdict is None:
        return ABSENT
    return format_change(verdict.change, verdict.change_interval)


def _note(trial: Trial) -> str:
    """The trial's own words; of images, which have no change in latency, the worst SSIM."""
    verdict = trial.verdict
    if trial.note or verdict is None:
        return trial.note
    if verdict.reasons:
        return say_all(verdict.reasons, COMMAND)
    if verdict.metric.is_of_pictures and verdict.measured is not None:
        return f"worst SSIM {verdict.measured:.4f}"
    return ""


def _marks(record: BisectRecord) -> str:
    """One mark a version, oldest first: + good, x bad, ? no answer, . not tried."""
    good = record.versions[0]
    known = {each.version: each.answer for each in record.trials if each.against == good}
    marks = "".join(_MARKS[known[each]] if each in known else "." for each in record.versions)
    return f"{good} {marks} {record.versions[-1]}   + good  x bad  ? no answer  . not tried"
