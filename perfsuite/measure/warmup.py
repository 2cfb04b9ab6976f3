"""When warm-up is over: one rule for sessions and for the arms of a gate."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

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
