"""The upgrade gate's self-test: trials played by fakes, and one planted arm for real."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from perfsuite.checkpoints import Checkpoint, registry
from perfsuite.cli import selftest as cli_selftest
from perfsuite.cli.commands import main
from perfsuite.report.console import render_console
from perfsuite.report.markdown import render_markdown
from perfsuite.results.ab import Arm
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.selftest.ab.report import LEGEND, gate_selftest_document
from perfsuite.selftest.ab.trials import (
    ORDER,
    SCHEMA,
    SLOWDOWNS,
    GateTrial,
    overhead_of,
    report_on,
    slowdown_of,
    tier_of,
    trials_for,
)
from perfsuite.selftest.ab.worker import planted_bench
from perfsuite.selftest.latency.extra_work import ExtraWork
from perfsuite.workers.protocol import Build, Built, TakeTurn, Turn
from tests.unit.ab_samples import WORK, Opener, block
from tests.unit.samples import environment


def made(number: int, outcome: Outcome, change: float) -> GateTrial:
    slowdown = slowdown_of(number)
    verdict = Verdict(Metric.LATENCY, outcome, change=change)
    tier = tier_of(number, ("fp32", "bf16"))
    return GateTrial(
        SCHEMA,
        number,
        slowdown,
        0.015,
        tier,
        environment(),
        verdict,
        outcome,
        40.0,
        90.0,
        0.01,
        "g",
    )


TRIALS = tuple(
    made(
        number,
        Outcome.REGRESSED if slowdown_of(number) else Outcome.PASSED,
        slowdown_of(number) + 0.001 * (number % 2),
    )
    for number in range(10)
)


def test_every_slowdown_meets_every_tier() -> None:
    met = {(slowdown_of(number), tier_of(number, ("a", "b"))) for number in range(10)}
    assert met == {(slowdown, tier) for slowdown in SLOWDOWNS for tier in ("a", "b")}


def test_as_many_trials_as_give_every_repeat() -> None:
    planted = [slowdown_of(number) for number in range(trials_for(40))]
    assert (planted.count(0.0), planted.count(0.03), planted.count(0.05)) == (40, 40, 20)
    assert trials_for(1) == len(ORDER)


def test_rates_are_of_each_slowdown() -> None:
    report = report_on(TRIALS, ("fp32", "bf16"))
    equal, small, large = report.rows
    assert (equal.regressed.hits, equal.passed.hits, equal.passed.total) == (0, 4, 4)
    assert (small.regressed.hits, large.regressed.hits) == (4, 2)
    assert small.cost == pytest.approx(0.0305)
    assert report.false_alarms == 0
    alarm = made(0, Outcome.REGRESSED, 0.02)
    assert report_on((alarm, *TRIALS[1:]), ("fp32",)).false_alarms == 1


def test_overhead_is_what_no_sample_accounts_for() -> None:
    # Ten pairs of 0.2 s and 0.2 s in 4 s; then the same in 4.1 s.
    assert overhead_of([block()]) == pytest.approx(0.0)
    assert overhead_of([replace(block(), sampling_s=4.1)]) == pytest.approx(0.025)
    assert overhead_of([]) == 0.0


def test_the_table_fits_80_columns() -> None:
    report = report_on(TRIALS, ("fp32", "bf16"))
    printed = render_console(gate_selftest_document(report))
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed
    assert "0/4 (0%-49%)" in printed
    said = " ".join(printed.split())
    parts = ("Self-test of the upgrade gate", "planted called slower", LEGEND, "Every gate")
    places = [said.index(part) for part in parts]
    assert places == sorted(places)


def test_the_page_has_the_rates_and_every_gate() -> None:
    page = render_markdown(gate_selftest_document(report_on(TRIALS, ("fp32", "bf16"))), depth=1)
    assert page.startswith("# Self-test of the upgrade gate\n")
    assert page.count("\n# ") == 0
    assert "| 0% | 0/4 (0%-49%) | 4/4 (51%-100%) |" in page
    assert "| 2 | fp32 | 0% | +0.0% | 40 s | passed |" in page
    assert page.count("| fp32 |") + page.count("| bf16 |") == len(TRIALS)


@pytest.fixture
def small_pocket(quick: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(registry._CHECKPOINTS, "pocket", replace(quick, name="pocket"))


@pytest.fixture
def opened(small_pocket: None, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was planted in each gate; the arms are fakes that are as slow as was asked."""
    planted: list[float] = []

    @contextlib.contextmanager
    def open_fakes(
        plan: object, control: Path, treatment: Path, programs: Mapping[Arm, tuple[str, ...]]
    ) -> Iterator[Opener]:
        slowdown = float(programs[Arm.TREATMENT][1])
        planted.append(slowdown)
        yield Opener(0.1, 0.1 * (1 + slowdown))

    monkeypatch.setattr(cli_selftest, "open_workers", open_fakes)
    return planted


def selftest(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["selftest", "--gate", "--tiers", "bf16", *arguments])


def test_trials_are_made_once_and_reported(opened: list[float], tmp_path: Path) -> None:
    result = selftest("--repeats", "1")
    assert result.exit_code == 0, result.output
    assert opened == list(ORDER)
    report = json.loads((tmp_path / ".perfsuite/selftest/gate.json").read_text())
    assert [row["regressed"]["hits"] for row in report["rows"]] == [0, 2, 1]
    assert selftest("--repeats", "3").exit_code == 0
    assert opened == list(ORDER) * 2


def test_trials_of_other_tiers_are_not_joined(opened: list[float]) -> None:
    assert selftest("--repeats", "1").exit_code == 0
    result = selftest("--repeats", "1", "--tiers", "fp32")
    assert result.exit_code == 2
    assert "holds trials of another self-test: delete the folder" in result.output
    assert len(opened) == len(ORDER)


@pytest.mark.usefixtures("small_pocket")
def test_a_planted_arm_works_and_works_more(monkeypatch: pytest.MonkeyPatch) -> None:
    units: list[int] = []
    monkeypatch.setattr(ExtraWork, "_do", lambda self, count: units.append(count))
    monkeypatch.setattr(ExtraWork, "calibrate", lambda self, image, rounds: 0.01)
    bench = planted_bench(0.05)
    built = bench.answer(Build("bf16", "pocket", WORK, WORK, "cpu", 1))
    assert isinstance(built, Built)
    assert isinstance(bench.answer(TakeTurn()), Turn)
    assert units == [6]  # the standing one, and five of a hundredth each


def test_equal_arms_have_the_standing_unit_only(
    small_pocket: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    units: list[int] = []
    monkeypatch.setattr(ExtraWork, "_do", lambda self, count: units.append(count))
    bench = planted_bench(0.0)
    bench.answer(Build("bf16", "pocket", WORK, WORK, "cpu", 1))
    bench.answer(TakeTurn())
    assert units == [1]
