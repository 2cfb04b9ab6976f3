"""The ladder for people: what each tier adds, and why."""

from __future__ import annotations

from collections.abc import Iterable

from perfsuite.report.table import Document, Heading, Lines
from perfsuite.results.method import ChangeSummary, TierSummary


def ladder_document(tiers: Iterable[TierSummary]) -> Document:
    """One part for each tier."""
    blocks = [block for tier in tiers for block in (Heading(_head(tier), 2), _body(tier))]
    return Document(tuple(blocks))


def _head(tier: TierSummary) -> str:
    parent = f" on {tier.parent}" if tier.parent else ""
    known = tier.published
    published = f", published {known.seconds:.2f} s ({known.hardware})" if known else ""
    return f"{tier.name}{parent}{published}"


def _body(tier: TierSummary) -> Lines:
    return Lines((tier.why, *(_line(change) for change in tier.changes)))


def _line(change: ChangeSummary) -> str:
    kind = "" if change.exact else " (changes precision)"
    return f"+ {change.name}{kind}: {change.about}"
