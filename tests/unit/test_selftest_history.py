"""What self-tests add to the history."""

from __future__ import annotations

from perfsuite.results.history import Kind
from perfsuite.results.verdict import Outcome
from perfsuite.selftest.experiment import Rate
from perfsuite.selftest.history import Shown, entry_of_selftest
from tests.unit.samples import environment


def test_rates_are_series_and_a_false_alarm_is_a_regression() -> None:
    shown = [
        Shown("tolerance 5.0%", Rate.of(0, 20), 0.0),
        Shown("tolerance 5.0%", Rate.of(18, 20), 0.1),
        Shown("images", Rate.of(0, 0), None),
    ]
    entry = entry_of_selftest("gate", {"rows": 2}, environment(), "pocket", shown)
    alarms, found = entry.readings
    assert (entry.run.kind, entry.run.outcome) == (Kind.SELFTEST, Outcome.PASSED)
    assert (alarms.key.quantity.name, alarms.value) == ("false alarms", 0.0)
    assert (found.key.quantity.name, found.value) == ("+10.0% found", 0.9)
    assert found.key.quantity.less_is_worse
    assert not alarms.key.quantity.less_is_worse
    assert found.interval is not None
    assert entry.record == b'{"rows":2}'
    alarmed = [Shown("tolerance 5.0%", Rate.of(1, 20), 0.0)]
    entry = entry_of_selftest("gate", {}, environment(), "pocket", alarmed)
    assert entry.run.outcome is Outcome.REGRESSED
