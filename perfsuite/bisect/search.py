"""Which version made it worse: halving a list with a test that may have no answer. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perfsuite.results.bisection import Answer, Bisected


def bisect(versions: Sequence[str], test: Callable[[str], Answer]) -> Bisected:
    """Halve a list of versions until none between good and bad is left to try.

    A version without an answer is left for its nearest neighbour that was not tried yet.

    Args:
        versions: oldest first; the first is known to be good, the last to be bad.
        test: tries one.
    """
    good, bad = 0, len(versions) - 1
    unknown: set[int] = set()
    while True:
        left = [place for place in range(good + 1, bad) if place not in unknown]
        if not left:
            return Bisected(versions[good], versions[bad], tuple(versions[good + 1 : bad]))
        middle = (good + bad) / 2
        place = min(left, key=lambda each: abs(each - middle))
        answer = test(versions[place])
        if answer is Answer.GOOD:
            good = place
        elif answer is Answer.BAD:
            bad = place
        else:
            unknown.add(place)
