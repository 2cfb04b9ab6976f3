"""Two runs side by side: only like with like, and with the noise that one run of each has."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from perfsuite.judge.two_runs import pair_readings
from perfsuite.results.history import Fact
from perfsuite.results.two_runs import Noise, PairedReading
from tests.unit.history_entries import entry_on


def of(pairs: tuple[PairedReading, ...], name: str) -> PairedReading:
    return next(pair for pair in pairs if pair.key.quantity.name == name)


def test_a_change_has_the_noise_of_both_runs() -> None:
    before, after = entry_on(0), entry_on(1, latency_s=0.22)
    digest = before.readings[0].key.digest
    noise = {digest: Noise(0.01, 1e6, is_raw=False)}
    latency = of(pair_readings(before, after, noise), "latency")
    assert latency.change == pytest.approx(0.1)
    assert latency.change_interval is not None
    margin = 1.96 * 0.01 * math.sqrt(2)
    assert latency.change_interval[1] == pytest.approx(1.1 * math.exp(margin) - 1, rel=1e-3)
    assumed = of(pair_readings(before, after, {}), "latency").change_interval
    assert assumed is not None
    assert assumed[1] > latency.change_interval[1], "what is assumed is less certain"


def test_what_differs_is_named_and_not_compared() -> None:
    before, after = entry_on(0), entry_on(1)
    reading = after.readings[0]
    key = replace(reading.key, facts=(Fact("threads", "2"),))
    other = replace(after, readings=(replace(reading, key=key),))
    pairs = pair_readings(before, other, {})
    latency = of(pairs, "latency")
    assert (latency.change, latency.is_like) == (None, False)
    assert [(own.value, their.value) for own, their in latency.differences] == [("1", "2")]
    memory = of(pairs, "peak memory")
    assert (memory.after, memory.change) == (None, None)


def test_values_that_may_be_zero_have_no_relative_change() -> None:
    before, after = entry_on(0), entry_on(1)
    zero = replace(before, readings=(replace(before.readings[1], value=0.0),))
    assert of(pair_readings(zero, after, {}), "peak memory").change is None
