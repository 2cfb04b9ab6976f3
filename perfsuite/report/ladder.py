"""The ladder for people: what each tier adds, why, and what others have published of it."""

from __future__ import annotations

from collections.abc import Iterable

from perfsuite.report.table import Document, Heading, Lines
from perfsuite.results.method import ChangeSummary, Published, TierSummary


def ladder_document(tiers: Iterable[TierSummary]) -> Document:
    """One part for each tier."""
    blocks = [block for tier in tiers for block in (Heading(_head(tier), 2), _body(tier))]
    return Document(tuple(blocks))


def _head(tier: TierSummary) -> str:
    parent = f" on {tier.parent}" if tier.parent else ""
    demand = ", on demand" if tier.on_demand else ""
    return f"{tier.name}{parent}{demand}"


def _body(tier: TierSummary) -> Lines:
    first = () if tier.published is None else (tier.published,)
    figures = [_figure(each) for each in (*first, *tier.also_published)]
    return Lines(
        (tier.why, *(_line(change) for change in tier.changes), *_pictures(tier), *figures)
    )


def _pictures(tier: TierSummary) -> tuple[str, ...]:
    if tier.as_good_as is None:
        return ()
    return (f"pictures: as good as those of {tier.as_good_as}, not the same ones",)


def _figure(known: Published) -> str:
    """Seconds with their hardware, work and source."""
    against = f" against {known.against_s:.2f} s" if known.against_s else ""
    peak = f", {known.peak_bytes / 1e9:.2f} GB" if known.peak_bytes else ""
    where = f"{known.hardware}; {known.work}; {known.source}"
    return f"published: {known.seconds:.2f} s{against}{peak} on {where}"


def _line(change: ChangeSummary) -> str:
    kind = "" if change.exact else " (changes precision)"
    return f"+ {change.name}{kind}: {change.about}"
