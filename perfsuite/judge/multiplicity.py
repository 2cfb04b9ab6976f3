"""Several tests at once, and one promise for all of them."""

from __future__ import annotations

from collections.abc import Sequence


def holm_alpha(p_values: Sequence[float], rate: float, multiplicity: int) -> float:
    """Level at which each test of a family is held, so that the rate holds for all together.

    Holm's step-down procedure (S. Holm, 'A simple sequentially rejective multiple test procedure',
    Scandinavian Journal of Statistics 6, 1979): the smallest p-value is held against rate / m, and
    each refuted hypothesis leaves its share to the others. Tests whose p-values are not known yet
    count as not refuted: what is refuted without them stays refuted whatever they turn out to be,
    so a session may act on each verdict before the next tier has been measured.

    Args:
        p_values: of the tests known so far, in any order.
        rate: probability that any true hypothesis of the family is refuted.
        multiplicity: how many tests the family has, known or not.

    Returns:
        Every known test with a p-value of at most this is refuted, and no other.
    """
    refuted = 0
    while True:
        alpha = rate / max(1, multiplicity - refuted)
        now = sum(1 for p in p_values if p <= alpha)
        if now == refuted:
            return alpha
        refuted = now
