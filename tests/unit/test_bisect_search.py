"""Halving a list of versions, by properties."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from perfsuite.bisect.search import bisect
from perfsuite.results.bisection import Answer, Bisected


@given(st.data(), st.integers(2, 60))
def test_the_first_bad_one_is_found(data: st.DataObject, count: int) -> None:
    versions = [f"1.{number}" for number in range(count)]
    first_bad = data.draw(st.integers(1, count - 1))
    asked: list[str] = []

    def test(version: str) -> Answer:
        asked.append(version)
        return Answer.BAD if versions.index(version) >= first_bad else Answer.GOOD

    assert bisect(versions, test) == Bisected(versions[first_bad - 1], versions[first_bad])
    assert len(asked) <= math.ceil(math.log2(count))
    assert versions[0] not in asked
    assert versions[-1] not in asked


@given(st.data(), st.integers(2, 40))
def test_what_gives_no_answer_is_passed_by_and_named(data: st.DataObject, count: int) -> None:
    versions = [f"1.{number}" for number in range(count)]
    first_bad = data.draw(st.integers(1, count - 1))
    inner = st.sampled_from(versions[1:-1]) if count > 2 else st.nothing()
    mute = data.draw(st.sets(inner))
    asked: list[str] = []

    def test(version: str) -> Answer:
        asked.append(version)
        if version in mute:
            return Answer.UNKNOWN
        return Answer.BAD if versions.index(version) >= first_bad else Answer.GOOD

    found = bisect(versions, test)
    good, bad = versions.index(found.last_good), versions.index(found.first_bad)
    assert good < first_bad <= bad
    assert found.unknown == tuple(versions[good + 1 : bad])
    assert mute.issuperset(found.unknown)
    assert len(asked) == len(set(asked))


def test_two_neighbours_need_no_trial() -> None:
    def test(version: str) -> Answer:
        raise AssertionError(version)

    assert bisect(["1", "2"], test) == Bisected("1", "2")
