"""A page from records: which are shown, which are only history, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perfsuite.page.bisection import BisectPart, bisect_part
from perfsuite.page.gate import GatePart, gate_part
from perfsuite.page.pictures import Album
from perfsuite.page.records import Source, read_sources
from perfsuite.page.session import SessionPart, session_part
from perfsuite.page.trend import Past, TrendChart, past_of, trend_charts
from perfsuite.report.colours import Colour, tier_colours
from perfsuite.results.ab import GateRecord
from perfsuite.results.bisection import BisectRecord
from perfsuite.results.method import Finding
from perfsuite.results.session import RunRecord

Part = SessionPart | GatePart | BisectPart


@dataclass(frozen=True)
class Shown:
    """One record with its history.

    Attributes:
        number: in the page, from 1.
        kind: `session`, `gate` or `bisect`.
        part: what is shown of it.
        trends: of a session's tiers.
    """

    number: int
    kind: str
    part: Part
    trends: tuple[TrendChart, ...] = ()


@dataclass(frozen=True)
class Page:
    """Everything on a page.

    Attributes:
        shown: records in full, the newest first.
        findings: what is missing, and why.
        colours: by tier.
        pictures: URLs of contact sheets.
        history: how many sessions are only points of trends.
    """

    shown: tuple[Shown, ...]
    findings: tuple[Finding, ...]
    colours: dict[str, Colour]
    pictures: tuple[str, ...] = ()
    history: int = 0

    @property
    def title(self) -> str:
        """The first record's verdict."""
        return self.shown[0].part.headline if self.shown else "Nothing can be shown."


@dataclass
class _Builder:
    past: Past
    album: Album = field(default_factory=Album)
    findings: list[Finding] = field(default_factory=list)

    def shown(self, number: int, source: Source) -> Shown:
        record, folder = source.record, source.folder
        match record:
            case RunRecord():
                part = session_part(record, folder, self.album)
                self.findings += part.findings
                return Shown(number, "session", part, trend_charts(record, self.past))
            case GateRecord():
                return Shown(number, "gate", gate_part(record, folder, self.album))
            case BisectRecord():
                return Shown(number, "bisect", bisect_part(record))


def build_page(paths: Sequence[Path], history: str | None = None) -> Page:
    """A page of records. What cannot be read is named on it, and the rest is shown.

    A session whose tiers a newer one of the same hardware, checkpoint and work measured again is
    a point of the trends only. All other records are shown in full.

    Args:
        paths: of records.
        history: place of the history that trends are completed from; None for none.
    """
    sources, unread = read_sources(paths)
    sessions = tuple(each.record for each in sources if isinstance(each.record, RunRecord))
    full = [each for each in reversed(sources) if not _is_superseded(each, sessions)]
    past = past_of(sessions, history)
    builder = _Builder(past)
    shown = tuple(builder.shown(number, each) for number, each in enumerate(full, start=1))
    findings = (
        *unread,
        *(finding for each in sources for finding in each.findings),
        *past.findings,
        *builder.findings,
        *builder.album.findings,
    )
    return Page(
        shown,
        findings,
        tier_colours(_tiers(sources)),
        tuple(builder.album.urls),
        len(sources) - len(full),
    )


def _is_superseded(source: Source, sessions: Sequence[RunRecord]) -> bool:
    record = source.record
    if not isinstance(record, RunRecord) or not record.tiers:
        return False
    own = _subjects(record)
    return any(own <= _subjects(newer) for newer in sessions if newer.run_id > record.run_id)


def _subjects(record: RunRecord) -> set[tuple[str, ...]]:
    """What a session was about, tier by tier."""
    hardware = record.environment.hardware.key
    works = (
        (each.label, each.latency_workload or record.latency_workload) for each in record.tiers
    )
    return {
        (hardware, record.checkpoint, record.identity, label, work.digest) for label, work in works
    }


def _tiers(sources: Sequence[Source]) -> list[str]:
    names: list[str] = []
    for source in sources:
        match source.record:
            case RunRecord(tiers=tiers) | GateRecord(tiers=tiers):
                names += [each.tier for each in tiers]
            case BisectRecord(tier=tier):
                names.append(tier)
    return list(dict.fromkeys(names))
