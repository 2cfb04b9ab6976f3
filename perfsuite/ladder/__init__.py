"""The ladder of optimisations: a table of tiers, and building a pipeline at one of them."""

from perfsuite.ladder.build import BuiltTier, build_tier
from perfsuite.ladder.draft import Change, Draft, Finding, Phase, change
from perfsuite.ladder.table import (
    Tier,
    changes_layers,
    find_tiers,
    foot,
    has_exactness,
    is_compiled,
    lineage,
    register_tier,
    tiers,
)

__all__ = [
    "BuiltTier",
    "Change",
    "Draft",
    "Finding",
    "Phase",
    "Tier",
    "build_tier",
    "change",
    "changes_layers",
    "find_tiers",
    "foot",
    "has_exactness",
    "is_compiled",
    "lineage",
    "register_tier",
    "tiers",
]
