"""Every outcome has a sign, a colour and a place in a headline: a new one must not be forgotten."""

from __future__ import annotations

import pytest

from perfsuite.page.render import _ICONS
from perfsuite.report.colours import OUTCOMES
from perfsuite.report.headline import _UNDECIDED
from perfsuite.results.verdict import Outcome

DECIDED = {Outcome.PASSED, Outcome.RECORDED, Outcome.IMPROVED, Outcome.REGRESSED}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_outcome_can_be_shown(outcome: Outcome) -> None:
    assert outcome in _ICONS
    assert outcome in OUTCOMES
    assert (outcome in _UNDECIDED) is (outcome not in DECIDED)
