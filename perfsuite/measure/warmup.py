"""When warm-up is over: one rule for sessions and for the arms of a gate."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfsuite.measure.graphs import GraphCounter
from perfsuite.results.samples import GraphWork

_WINDOW = 3
"""Images whose median is held against that of as many before them."""


@dataclass(frozen=True)
class WarmupRule:
    """Images are made until latency has settled, or warm-up has taken enough.

    Attributes:
        longest_s: seconds after which it ends, settled or not; the first image, which holds the
            compilation, is not counted.
        most: images after which it ends, settled or not.
        settled: latency has settled when the medians of the last three images and of the three
            before them differ by less than this fraction; the first image counts for neither.
    """

    longest_s: float
    most: int = 12
    settled: float = 0.03

    def is_over(self, taken_s: Sequence[float]) -> bool:
        """Whether no more images are needed.

        Args:
            taken_s: seconds of each image so far.
        """
        warm = taken_s[1:]
        if len(taken_s) >= self.most or (len(warm) >= 2 and sum(warm) > self.longest_s):
            return True
        if len(warm) < 2 * _WINDOW:
            return False
        earlier = statistics.median(warm[-2 * _WINDOW : -_WINDOW])
        return abs(statistics.median(warm[-_WINDOW:]) / earlier - 1) < self.settled


@dataclass(frozen=True)
class Warmth:
    """Images that were made until latency had settled.

    Attributes:
        images_s: seconds of each.
        graphs: what each compiled, recorded or replayed.
    """

    images_s: tuple[float, ...]
    graphs: tuple[GraphWork, ...]

    @property
    def pace_s(self) -> float:
        """Seconds of the fastest: of one that neither compiled nor recorded, where there is one."""
        warm = [
            seconds
            for seconds, work in zip(self.images_s, self.graphs, strict=True)
            if not work.is_new
        ]
        return min(warm or self.images_s)


def warm_up(rule: WarmupRule, make_image: Callable[[int], float]) -> Warmth:
    """Make images until a rule says that it is enough and the last one brought no new graphs.

    Args:
        rule: when it is over; `rule.most` holds whatever the graphs do.
        make_image: makes one, given how many there were; its seconds.
    """
    counter = GraphCounter()
    taken: list[float] = []
    graphs: list[GraphWork] = []
    while not rule.is_over(taken) or (graphs[-1].is_new and len(taken) < rule.most):
        taken.append(make_image(len(taken)))
        graphs.append(counter.since_last())
    return Warmth(tuple(taken), tuple(graphs))
