"""When warm-up is over."""

from __future__ import annotations

import pytest

from perfsuite.measure.warmup import WarmupRule

RULE = WarmupRule(longest_s=10.0)


@pytest.mark.parametrize(
    ("taken_s", "over"),
    [
        ((), False),
        ((60.0,), False),
        ((60.0, 0.2, 0.2, 0.2, 0.2, 0.2), False),
        ((60.0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2), True),
        ((60.0, 0.3, 0.3, 0.3, 0.2, 0.2, 0.2), False),
        ((60.0, 6.0), False),
        ((60.0, 6.0, 6.0), True),
        ((1.0, *(0.2 + 0.1 * (number % 2 == number % 3) for number in range(11))), True),
    ],
    ids=[
        "nothing yet",
        "the compilation alone",
        "too few to say",
        "settled",
        "still getting faster",
        "long but only one",
        "long enough",
        "never settles",
    ],
)
def test_warm_up_ends_when_latency_has_settled_or_enough_was_taken(
    taken_s: tuple[float, ...], over: bool
) -> None:
    assert RULE.is_over(taken_s) is over
