"""The ladder of optimisations: a table of tiers, and building a pipeline at one of them."""

from perfsuite.ladder.build import BuiltTier, build_tier
from perfsuite.ladder.builder import Builder, Change, Phase, change
from perfsuite.ladder.method import Weights, check_method, describe_weights, resolve_method
from perfsuite.ladder.table import (
    Tier,
    changes_layers,
    find_tiers,
    has_exactness,
    is_compiled,
    lineage,
    reference_tier,
    register_tier,
    summarise,
    tiers,
)
from perfsuite.results.method import Finding

__all__ = [
    "Builder",
    "BuiltTier",
    "Change",
    "Finding",
    "Phase",
    "Tier",
    "Weights",
    "build_tier",
    "change",
    "changes_layers",
    "check_method",
    "describe_weights",
    "find_tiers",
    "has_exactness",
    "is_compiled",
    "lineage",
    "reference_tier",
    "register_tier",
    "resolve_method",
    "summarise",
    "tiers",
]
