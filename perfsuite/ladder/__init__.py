"""The ladder of optimisations: a table of tiers, and building a pipeline at one of them."""

from perfsuite.ladder.build import BuiltTier, build_tier
from perfsuite.ladder.builder import Builder, Change, Need, Phase, change
from perfsuite.ladder.method import (
    Weights,
    WeightsKey,
    check_method,
    describe_weights,
    obstacle,
    resolve_method,
)
from perfsuite.ladder.methods import method_tiers
from perfsuite.ladder.table import (
    LADDER,
    Tier,
    changes_layers,
    expand,
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

for _row in method_tiers(LADDER):
    register_tier(_row)

__all__ = [
    "LADDER",
    "Builder",
    "BuiltTier",
    "Change",
    "Finding",
    "Need",
    "Phase",
    "Tier",
    "Weights",
    "WeightsKey",
    "build_tier",
    "change",
    "changes_layers",
    "check_method",
    "describe_weights",
    "expand",
    "find_tiers",
    "has_exactness",
    "is_compiled",
    "lineage",
    "obstacle",
    "reference_tier",
    "register_tier",
    "resolve_method",
    "summarise",
    "tiers",
]
