"""Trends: what is spoken of, what is not, and whose it is. Seeds make every series the same."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from perfsuite.judge.changes import FEWEST_POINTS, find_changes, noise_of, without_spikes
from perfsuite.judge.trend import trend_of
from perfsuite.results.history import (
    Cause,
    Kind,
    Point,
    Quantity,
    Series,
    SeriesKey,
    Shape,
    Unit,
    VersionChange,
)
from perfsuite.results.verdict import Basis

NIGHTS = 56
FIRST = datetime.datetime(2026, 1, 1, 3, tzinfo=datetime.timezone.utc)
LATENCY = Quantity("latency", Unit.SECONDS)
Numbers = npt.NDArray[np.float64]


def noise(seed: int, nights: int = NIGHTS, deviation: float = 0.013) -> Numbers:
    """Log latency over the probe's, from run to run on a quiet machine."""
    return np.random.default_rng(seed).normal(0, deviation, nights)


def series(
    logs: Sequence[float] | Numbers,
    *,
    hosts: Callable[[int], str | None] = lambda night: "node-1",
    versions: Callable[[int], dict[str, str]] = lambda night: {"torch": "2.13.0"},
    quantity: Quantity = LATENCY,
    probe: Callable[[int], float | None] = lambda night: 0.03,
) -> Series:
    points = []
    for night, log in enumerate(logs):
        value, at = math.exp(log), FIRST + datetime.timedelta(days=night)
        seconds = probe(night)
        ratio = value / 0.03 if seconds is not None else None
        raw = value if seconds is None else value * seconds / 0.03
        points.append(
            Point(
                f"run-{night:02}", at.isoformat(), raw, None, ratio, hosts(night), versions(night)
            )
        )
    return Series(SeriesKey(Kind.SESSION, "int8", quantity, "cpu", "pocket"), tuple(points))


def stepped(size: float, night: int, nights: int = NIGHTS) -> Numbers:
    return np.where(np.arange(nights) >= night, math.log1p(size), 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_a_drift_of_one_per_cent_a_week_is_found_as_a_drift(seed: int) -> None:
    trend = trend_of(series(noise(seed) + math.log(1.01) * np.arange(NIGHTS) / 7))
    (change,) = trend.changes
    assert change.shape is Shape.DRIFT
    assert change.per_week == pytest.approx(0.01, abs=0.005)
    assert change.change_interval[0] < 1.01**8 - 1 < change.change_interval[1] + 0.02
    assert change.is_worse


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("night", [0, 30, NIGHTS - 2, NIGHTS - 1])
def test_a_single_spike_is_not_spoken_of(seed: int, night: int) -> None:
    logs = noise(seed)
    logs[night] += 0.4
    assert trend_of(series(logs)).changes == ()


@pytest.mark.parametrize("seed", range(5))
def test_unchanged_code_is_not_spoken_of(seed: int) -> None:
    trend = trend_of(series(noise(seed)))
    assert trend.changes == ()
    assert trend.noise == pytest.approx(0.013, rel=0.6)
    assert len(set(trend.fitted)) == 1


def test_two_points_at_the_end_are_the_least_to_speak_of() -> None:
    logs = noise(1) + stepped(0.1, NIGHTS - 2)
    assert trend_of(series(logs[:-1])).changes == ()
    (change,) = trend_of(series(logs)).changes
    assert (change.shape, change.start) == (Shape.STEP, NIGHTS - 2)


def test_a_step_tells_when_how_much_and_which_versions_changed() -> None:
    def versions(night: int) -> dict[str, str]:
        return {"torch": "2.14.0" if night >= 40 else "2.13.0", "numpy": "2.4.6"}

    (change,) = trend_of(series(noise(2) + stepped(0.08, 40), versions=versions)).changes
    assert (change.shape, change.start) == (Shape.STEP, 40)
    assert change.earliest <= 40 <= change.latest
    assert change.change == pytest.approx(0.08, abs=0.02)
    assert change.change_interval[0] < 0.08 < change.change_interval[1]
    assert change.versions == (VersionChange("torch", "2.13.0", "2.14.0"),)
    assert change.after / change.before == pytest.approx(1 + change.change)


def test_a_faster_step_is_no_worse_and_a_lower_ssim_is() -> None:
    ssim = Quantity("images", Unit.FRACTION, less_is_worse=True)
    logs = noise(3, deviation=0.001) + stepped(-0.05, 30)
    (faster,) = trend_of(series(logs)).changes
    (worse,) = trend_of(series(logs, quantity=ssim)).changes
    assert (faster.is_worse, worse.is_worse) == (False, True)


def test_what_slows_the_probe_too_is_the_machine() -> None:
    def probe(night: int) -> float:
        return 0.03 * (1.3 if night >= 30 else 1.0) * (1 + 0.05 * (night % 3))

    trend = trend_of(series(noise(4), probe=probe))
    assert (trend.basis, trend.changes) == (Basis.PROBE, ())
    raw = trend_of(series(noise(4) + stepped(0.3, 30), probe=lambda night: None))
    assert (raw.basis, len(raw.changes)) == (Basis.RAW, 1)


def on_three(night: int) -> str:
    return f"node-{night % 3}"


def test_a_step_on_one_host_alone_is_the_hosts() -> None:
    logs = noise(5, 90)
    logs += np.where((np.arange(90) >= 45) & (np.arange(90) % 3 == 1), 0.1, 0)
    (change,) = trend_of(series(logs, hosts=on_three)).changes
    assert change.cause is Cause.HOST
    assert (change.hosts, change.unmoved) == (("node-1",), ("node-0", "node-2"))
    assert 40 <= change.start <= 50


def test_a_step_on_every_host_is_the_codes_though_hosts_differ() -> None:
    offset = np.asarray([0.0, 0.12, -0.08])[np.arange(90) % 3]
    (change,) = trend_of(
        series(noise(6, 90) + offset + stepped(0.06, 45, 90), hosts=on_three)
    ).changes
    assert change.cause is Cause.CODE
    assert change.hosts == ("node-0", "node-1", "node-2")
    assert change.change == pytest.approx(0.06, abs=0.02)


def test_one_host_alone_or_one_after_the_other_do_not_tell_whose_it_is() -> None:
    logs = noise(7) + stepped(0.08, 30)
    for hosts in (
        lambda night: "node-1",
        lambda night: None,
        lambda night: "new" if night >= 30 else "old",
    ):
        (change,) = trend_of(series(logs, hosts=hosts)).changes
        assert change.cause is Cause.UNKNOWN
        assert change.unmoved == ()


def test_counts_and_values_that_never_vary_are_searched_too() -> None:
    key = SeriesKey(Kind.GATE, "int8", Quantity("graph breaks", Unit.COUNT), "cpu", "pocket")
    at = [(FIRST + datetime.timedelta(days=night)).isoformat() for night in range(20)]
    points = [Point(str(night), at[night], float(night >= 15)) for night in range(20)]
    trend = trend_of(Series(key, tuple(points)))
    (change,) = trend.changes
    assert not trend.is_relative
    assert (change.start, change.before, change.after) == (15, 0.0, 1.0)


def test_few_points_are_shown_and_not_judged() -> None:
    for count in range(FEWEST_POINTS):
        trend = trend_of(series(noise(8, count) + np.arange(count)))
        assert (trend.noise, trend.changes, trend.fitted) == (None, (), ())
        assert len(trend.values) == count
    with pytest.raises(ValueError, match="too few"):
        find_changes([1.0] * 5, [0.0] * 5, 0.01)


def test_runs_at_one_moment_and_clocks_that_go_back_break_nothing() -> None:
    logs = noise(9, 30) + stepped(0.1, 20, 30)
    assert find_changes(logs, [0.0] * 30, 0.002).pieces
    points = series(logs).points
    trend_of(Series(series(logs).key, tuple(points[i] for i in (*range(20), *range(29, 19, -1)))))


def test_spikes_are_levelled_and_steps_are_not() -> None:
    flat = np.zeros(9)
    for places in ([0], [4], [8], [3, 4]):
        spiky = flat.copy()
        spiky[places] = 1.0
        assert (without_spikes(spiky, 0.01) == flat).all()
    for last in (2, 4):
        step = np.where(np.arange(9) >= 9 - last, 1.0, 0.0)
        assert (without_spikes(step, 0.01) == step).all()


def test_the_noise_is_that_around_the_level() -> None:
    assert noise_of(noise(1, 2000) + stepped(1.0, 1000, 2000)) == pytest.approx(0.013, rel=0.1)
