"""The parts of a session, in the order of their importance, and which of them fit into a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfsuite.results.verdict import Metric

IMPORTANCE = (
    Metric.LATENCY,
    Metric.IMAGES,
    Metric.STRUCTURE,
    Metric.LAYERS,
    Metric.EXACTNESS,
)
"""The most important first. Exactness is the longest part and asks of single changes what images
ask of the whole tier, so it goes first."""


@dataclass(frozen=True)
class Part:
    """What one test measures.

    Attributes:
        tier: the tier's name.
        metric: that it comes to a verdict on; None for a test with assertions of its own, which is
            never left out.
        workload: names the workload; None where there is only one.
    """

    tier: str
    metric: Metric | None
    workload: str | None = None


def fitting(
    parts: Sequence[Part], left_s: float, seconds: Callable[[Sequence[Part]], float]
) -> tuple[Part, ...]:
    """Those of some parts that are kept so that all of them fit into a time.

    The least important are left out first; of equally important ones, that of the highest rung.

    Args:
        parts: that are still to come, in their order.
        left_s: seconds that are left.
        seconds: what some parts take together, in their order.
    """
    kept = list(parts)
    while kept and seconds(kept) > left_s:
        droppable = [part for part in kept if part.metric is not None]
        if not droppable:
            break
        least = max(droppable, key=lambda part: IMPORTANCE.index(part.metric or IMPORTANCE[0]))
        of_its_kind = [part for part in droppable if part.metric is least.metric]
        kept.remove(of_its_kind[-1])
    return tuple(kept)
