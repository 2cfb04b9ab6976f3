"""Why a verdict on counts says what it says; see `perfsuite.results.reasons`."""

from __future__ import annotations

from perfsuite.results.counters import Counted, GraphBreak, Recompile
from perfsuite.results.picture_reasons import CodedReason
from perfsuite.results.stages import StageGrowth
from perfsuite.results.structure import CountDifference


class GraphBroken(CodedReason, frozen=True):
    """torch.compile gave up a graph.

    Attributes:
        breaks: with the reason and the place of each.
    """

    breaks: tuple[GraphBreak, ...]


class CompiledAgain(CodedReason, frozen=True):
    """A function was compiled that had been compiled before.

    Attributes:
        recompiles: with the guard that failed.
    """

    recompiles: tuple[Recompile, ...]


class NotQuantised(CodedReason, frozen=True):
    """Layers that the tier's filter lets through are not quantised.

    Attributes:
        layers: their paths.
        of: layers that it lets through.
    """

    layers: tuple[str, ...]
    of: int


class QuantisedUnasked(CodedReason, frozen=True):
    """Layers that the tier's filter leaves out are quantised.

    Attributes:
        layers: their paths.
    """

    layers: tuple[str, ...]


class AttentionSplit(CodedReason, frozen=True):
    """Attention that is meant to be one operator is computed by separate products.

    Attributes:
        modules: paths of those that do.
    """

    modules: tuple[str, ...]


class OtherPrecision(CodedReason, frozen=True):
    """Products are computed in another dtype than the tier's.

    Attributes:
        dtype: the tier's.
        found: by module, the other dtype, and how often.
    """

    dtype: str
    found: tuple[CountDifference, ...]


class CountsDiffer(CodedReason, frozen=True):
    """Something is counted more or less often than it was.

    Attributes:
        what: is counted.
        before: in all, in the baseline or the control.
        now: in all, here.
        worst: the largest differences.
        others: differences that are not listed.
        within: path of the module that all differences are in; empty if they have none in common.
    """

    what: Counted
    before: int
    now: int
    worst: tuple[CountDifference, ...]
    others: int = 0
    within: str = ""


class LessThanBaseline(CodedReason, frozen=True):
    """Less is asked for than before: the baseline should be moved."""


class CountedElsewhere(CodedReason, frozen=True):
    """The baseline's counts are of other versions, so they say what changed and judge nothing.

    Attributes:
        before: versions there.
        now: versions here.
    """

    before: tuple[str, ...]
    now: tuple[str, ...]


class NoCounts(CodedReason, frozen=True):
    """Nothing was ever counted for this device.

    Attributes:
        tier: the tier's name.
    """

    tier: str


class NotCounted(CodedReason, frozen=True):
    """These libraries do not let it be counted, as when a hook of theirs has moved.

    Attributes:
        why: the error, which names it.
        arm: whose libraries, in a gate; empty in a session.
    """

    why: str
    arm: str = ""


class StagesGrew(CodedReason, frozen=True):
    """Stages of an image that take longer than in the baseline's runs.

    Attributes:
        stages: those that account for the slowdown, the largest share first.
    """

    stages: tuple[StageGrowth, ...]


StructureReason = (
    GraphBroken
    | CompiledAgain
    | NotQuantised
    | QuantisedUnasked
    | AttentionSplit
    | OtherPrecision
    | CountsDiffer
    | LessThanBaseline
    | CountedElsewhere
    | NoCounts
    | NotCounted
    | StagesGrew
)
"""Any of them."""
