"""How two structures of one tier differ, and what that says: plain values."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from perfsuite.results.structure import CountDifference


class StructureOutcome(str, enum.Enum):
    """What a comparison says, from the lightest to the gravest."""

    SAME = "same"
    REVIEW = "for review"
    """It differs, and so do the versions of the libraries: somebody should look."""
    NO_EXPECTATION = "no expectation"
    """There is nothing to compare it with."""
    UNSUPPORTED = "unsupported"
    """This torch could not be counted; the hook that has moved is named."""
    CHANGED = "changed"
    """It differs with the same versions."""


_GRAVITY = {outcome: place for place, outcome in enumerate(StructureOutcome)}


def gravest(outcomes: Iterable[StructureOutcome]) -> StructureOutcome:
    """The gravest of some outcomes; of none, that nothing could be compared."""
    return max(
        outcomes, key=lambda outcome: _GRAVITY[outcome], default=StructureOutcome.NO_EXPECTATION
    )


@dataclass(frozen=True)
class ArchComparison:
    """Compiled code for one architecture.

    Attributes:
        arch: its name.
        outcome: what is said of it.
        totals: of each part that differ: graphs, kernels, launches, registers, bytes spilled.
        triton: launches of generated kernels that differ, by module, worst first.
        extern: calls of other kernels that differ, by module, worst first.
        unsupported: what of this torch is not as the compilation needs it.
    """

    arch: str
    outcome: StructureOutcome
    totals: tuple[CountDifference, ...] = ()
    triton: tuple[CountDifference, ...] = ()
    extern: tuple[CountDifference, ...] = ()
    unsupported: str | None = None


@dataclass(frozen=True)
class TierComparison:
    """One tier.

    Attributes:
        tier: its name.
        outcome: what is said of it as a whole.
        totals: of each part that differ: FLOPs and bytes.
        operators: calls that differ, by module, worst first.
        archs: its compiled code.
        unsupported: what of this torch is not as counting needs it.
    """

    tier: str
    outcome: StructureOutcome
    totals: tuple[CountDifference, ...] = ()
    operators: tuple[CountDifference, ...] = ()
    archs: tuple[ArchComparison, ...] = ()
    unsupported: str | None = None


@dataclass(frozen=True)
class VersionChange:
    """A package whose version differs.

    Attributes:
        package: its name.
        before: version of the expectation; None where it has none.
        now: version of this environment.
    """

    package: str
    before: str | None
    now: str | None


@dataclass(frozen=True)
class StructureComparison:
    """A record held against another one.

    Attributes:
        against: what it was held against; None if there was nothing.
        versions: packages that differ.
        tiers: every tier that was counted.
    """

    against: str | None
    versions: tuple[VersionChange, ...]
    tiers: tuple[TierComparison, ...]

    @property
    def outcome(self) -> StructureOutcome:
        """The gravest of all tiers."""
        return gravest(each.outcome for each in self.tiers)
