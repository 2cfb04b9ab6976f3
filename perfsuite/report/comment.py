"""A session as a comment on a pull request: the verdict, the worst tiers first, the rest folded."""

from __future__ import annotations

from perfsuite.report.headline import session_headline, session_outcome
from perfsuite.report.numbers import format_value
from perfsuite.report.session import COLUMNS, heading, notes, rows
from perfsuite.report.table import (
    Block,
    Code,
    Column,
    Details,
    Document,
    Heading,
    Legend,
    Lines,
    Row,
    Table,
)
from perfsuite.results.images import ImageEvidence
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import Metric, Outcome

_SIGNS = {
    Outcome.PASSED: "✅",
    Outcome.RECORDED: "✅",
    Outcome.IMPROVED: "✅",
    Outcome.REGRESSED: "❌",
}
_UNDECIDED = "⚠️"
_IMAGES = (
    Column("tier", is_text=True),
    Column("worst SSIM"),
    Column("worst image", is_text=True),
    Column("verdict", is_text=True),
)


def session_comment(record: RunRecord) -> Document:
    """What a session says, for people who look for ten seconds."""
    outcome = session_outcome(record)
    sign = _SIGNS.get(outcome, _UNDECIDED) if outcome else _UNDECIDED
    found = notes(record)
    table = Table(COLUMNS, _worst_first(record))
    return Document(
        (
            Heading(f"{sign} {session_headline(record)}"),
            table,
            Details(f"Reasons and findings ({len(found)})", (Lines(found),)),
            Details("Images", _images(record)),
            Details("Where and with what", (Lines(_provenance(record)),)),
            Details("Measure it again", (Code(record.command),) if record.command else ()),
            Legend(table),
        )
    )


def gravity(result: TierResult) -> int:
    """Orders tiers from the worst: an error counts as a regression."""
    if result.error:
        return Outcome.REGRESSED.gravity + 1
    return result.overall.gravity if result.overall else -1


def _worst_first(record: RunRecord) -> tuple[Row, ...]:
    paired = zip(record.tiers, rows(record), strict=True)
    return tuple(row for _, row in sorted(paired, key=lambda pair: -gravity(pair[0])))


def _images(record: RunRecord) -> tuple[Block, ...]:
    cells = []
    for result in sorted(record.tiers, key=lambda each: -gravity(each)):
        verdict, evidence = result.verdict(Metric.IMAGES), _evidence(result)
        if verdict is None or evidence is None:
            continue
        worst = evidence.worst
        cells.append(
            Row(
                (
                    result.label,
                    format_value(Metric.IMAGES, worst.ssim),
                    f"“{worst.prompt}”, seed {worst.seed}",
                    verdict.outcome.value,
                )
            )
        )
    return (Table(_IMAGES, tuple(cells)),) if cells else ()


def _evidence(result: TierResult) -> ImageEvidence | None:
    verdict = result.verdict(Metric.IMAGES)
    return verdict.images if verdict else None


def _provenance(record: RunRecord) -> tuple[str, ...]:
    environment = record.environment
    facts = (
        heading(record),
        f"hardware {environment.hardware.key}",
        f"Python {environment.python}, {environment.system}",
        f"revision {environment.git_revision}" if environment.git_revision else "",
        f"run {record.run_id}, baseline {record.baseline or 'none'}",
    )
    return tuple(fact for fact in facts if fact)
