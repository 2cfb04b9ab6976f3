from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsuite.judge.multiplicity import holm_alpha

p_values = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=8)


def by_the_book(ps: list[float], rate: float, multiplicity: int) -> set[int]:
    """Holm's procedure, step by step, as his paper has it."""
    refuted: set[int] = set()
    for step, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        if ps[place] > rate / (multiplicity - step):
            break
        refuted.add(place)
    return refuted


@settings(max_examples=200, deadline=None, derandomize=True)
@given(p_values, st.floats(0.001, 0.5), st.integers(0, 4))
def test_it_refutes_what_the_step_down_procedure_refutes(
    ps: list[float], rate: float, unknown: int
) -> None:
    multiplicity = len(ps) + unknown
    alpha = holm_alpha(ps, rate, multiplicity)
    assert {place for place, p in enumerate(ps) if p <= alpha} == by_the_book(
        ps, rate, multiplicity
    )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(p_values)
def test_what_is_refuted_stays_refuted_whatever_comes_later(ps: list[float]) -> None:
    multiplicity = len(ps)
    before: set[int] = set()
    for known in range(1, multiplicity + 1):
        alpha = holm_alpha(ps[:known], 0.05, multiplicity)
        now = {place for place in range(known) if ps[place] <= alpha}
        assert before <= now
        before = now


def test_with_nothing_known_it_is_bonferroni() -> None:
    assert holm_alpha([], 0.01, 6) == pytest.approx(0.01 / 6)


def test_all_refuted_leaves_the_whole_rate() -> None:
    assert holm_alpha([1e-9, 1e-9], 0.01, 2) == 0.01


def test_unchanged_families_are_called_changed_at_the_stated_rate() -> None:
    generator = np.random.default_rng(8)
    families = generator.uniform(size=(4000, 5))
    alarms = [min(ps) <= holm_alpha(list(ps), 0.1, 5) for ps in families]
    # 1 - (1 - 0.1 / 5) ** 5 = 0.096; three standard errors of it are 0.014.
    assert np.mean(alarms) == pytest.approx(0.096, abs=0.014)
