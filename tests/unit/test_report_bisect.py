"""A bisection at 80 columns and as an issue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfsuite.report.bisect import bisection_document, summary, trial_line
from perfsuite.report.console import render_console
from perfsuite.report.markdown import render_markdown
from perfsuite.results.bisection import Answer, Bisected, BisectRecord, Question, Trial
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.verdict import Metric, Outcome, Verdict
from tests.unit.ab_samples import damage
from tests.unit.samples import environment


def slower(change: float, outcome: Outcome) -> Verdict:
    return Verdict(
        Metric.LATENCY,
        outcome,
        measured=1 + change,
        expected=1.0,
        change=change,
        change_interval=(change - 0.01, change + 0.01),
        minimum_detectable_effect=0.05,
    )


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


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_report_fits_the_page_and_begins_with_the_answer(width: int) -> None:
    text = render_console(bisection_document(RECORD), width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in text
    said = " ".join(text.split())
    answer = " ".join(summary(RECORD))
    assert said.startswith(answer)
    assert answer.endswith("2.14.1 against 2.13.1: +8.0 ±1.0% (95 % interval)")
    (marks,) = [line for line in lines if line.lstrip().startswith("2.13.0 ++?x 2.14.1")]
    (head,) = [line for line in lines if line.startswith("version ")]
    (command,) = [line for line in lines if "perfsuite bisect --good" in line]
    places = [lines.index(line) for line in (marks, head, command)]
    assert places == sorted(places)


def test_every_trial_has_its_line() -> None:
    lines = [line.split() for line in render_console(bisection_document(RECORD)).splitlines()]
    for trial in (GOOD, BAD, FINAL):
        assert trial_line(trial).split() in lines


def test_a_trial_is_one_line() -> None:
    assert trial_line(BAD) == "2.14.1 2.13.0 bad +9.0 ±1.0%"
    assert trial_line(SKIPPED) == "2.14.0 2.13.0 unknown skipped: pip | <cannot> install it"


def test_images_show_their_ssim_and_worse_ones_what_was_missed() -> None:
    verdict = Verdict(Metric.IMAGES, Outcome.PASSED, measured=0.987, expected=0.99)
    assert trial_line(Trial("2", "1", Answer.GOOD, verdict=verdict)) == "2 1 good worst SSIM 0.9870"
    worse = replace(verdict, outcome=Outcome.REGRESSED, reasons=(damage(0.4),), measured=0.4)
    assert trial_line(Trial("2", "1", Answer.BAD, verdict=worse)).startswith(
        "2 1 bad damage: worst SSIM 0.40000 below 0.95000"
    )


def test_an_issue_has_the_answer_the_trials_and_the_command() -> None:
    text = render_markdown(bisection_document(RECORD))
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
