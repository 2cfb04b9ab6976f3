"""A bisection at 80 columns and as an issue."""

from __future__ import annotations

from dataclasses import replace

from perfsuite.report.bisect import (
    render_bisection_console,
    render_bisection_markdown,
    summary,
    trial_line,
)
from perfsuite.results.bisection import Answer, Bisected, BisectRecord, Question, Trial
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.verdict import Metric, Outcome, Verdict
from tests.unit.samples import environment


def slower(change: float, outcome: Outcome) -> Verdict:
    interval = (change - 0.01, change + 0.01)
    return Verdict(Metric.LATENCY, outcome, "", 1.0, 1 + change, change, interval, 0.05)


GOOD = Trial("2.13.0", "2.13.0", Answer.GOOD, verdict=slower(0.001, Outcome.PASSED))
BAD = Trial("2.14.1", "2.13.0", Answer.BAD, verdict=slower(0.09, Outcome.REGRESSED))
SKIPPED = Trial("2.14.0", "2.13.0", Answer.UNKNOWN, "skipped: pip | <cannot> install it")
FINAL = Trial("2.14.1", "2.13.1", Answer.BAD, verdict=slower(0.08, Outcome.REGRESSED))
RECORD = BisectRecord(
    SCHEMA,
    "20261124T030000Z-0000",
    environment(),
    "pocket",
    "int8",
    Question.LATENCY,
    "torch",
    ".",
    "torch==2.14.1",
    ("2.13.0", "2.13.1", "2.14.0", "2.14.1"),
    (GOOD, BAD, SKIPPED, replace(GOOD, version="2.13.1"), FINAL),
    Bisected("2.13.1", "2.14.1", ("2.14.0",)),
    FINAL,
)


def test_the_table_fits_into_80_columns_and_ends_with_the_answer() -> None:
    text = render_bisection_console(RECORD)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("2.13.0 ++?x 2.14.1")
    assert lines[-1] == "2.14.1 against 2.13.1: +8.0 ±1.0% (95 % interval)"


def test_a_trial_is_one_line() -> None:
    assert trial_line(BAD) == "2.14.1 2.13.0 bad +9.0 ±1.0%"
    assert trial_line(SKIPPED) == "2.14.0 2.13.0 unknown skipped: pip | <cannot> install it"


def test_images_show_their_ssim() -> None:
    verdict = Verdict(Metric.IMAGES, Outcome.PASSED, "", 0.99, 0.987)
    assert trial_line(Trial("2", "1", Answer.GOOD, verdict=verdict)) == "2 1 good worst SSIM 0.9870"


def test_an_issue_has_the_answer_the_trials_and_the_command() -> None:
    text = render_bisection_markdown(RECORD)
    assert text.startswith(
        "### torch 2.14.1 is the first bad version for latency of int8 (pocket)\n"
    )
    assert "| 2.14.0 | 2.13.0 | unknown | - | skipped: pip \\| &lt;cannot> install it |" in text
    assert '--good "." --bad "torch==2.14.1" --tier int8 --metric latency' in text


def test_a_change_in_more_than_one_step_is_said_so() -> None:
    weak = replace(FINAL, answer=Answer.GOOD, verdict=slower(0.02, Outcome.PASSED))
    assert "it came in more than one" in summary(replace(RECORD, final=weak))[-1]


def test_no_result_says_why() -> None:
    stopped = replace(RECORD, result=None, final=None, stopped="the bad end is not worse")
    assert summary(stopped) == (
        "torch, latency of int8 (pocket): not found: the bad end is not worse",
    )
