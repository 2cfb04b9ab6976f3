"""A night: a second run confirms what regressed, and one issue is opened, added to and closed."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from perfsuite.cli import night as cli_night
from perfsuite.cli.commands import main
from perfsuite.judge.night import judge_night
from perfsuite.results.night import Confirmation
from perfsuite.results.session import RunRecord, TierResult, load_record, save_record
from perfsuite.results.verdict import Outcome, Verdict
from tests.unit.samples import latency_verdict, quality_verdict, record

FIRST, SECOND = "20261124T030000Z-0001", "20261124T040000Z-0002"


def night_of(*verdicts: Verdict, run_id: str = FIRST, **changes: Any) -> RunRecord:
    made = record(TierResult("fp32", verdicts=(latency_verdict(),)), TierResult("sdpa", **changes))
    made = dataclasses.replace(made, run_id=run_id, complete=True, command="pytest -m perf -q")
    sdpa = dataclasses.replace(made.tiers[1], verdicts=verdicts)
    return made.with_result(sdpa)


SLOWER = latency_verdict(Outcome.REGRESSED, change=0.2, change_interval=(0.18, 0.22))
WORSE = quality_verdict(Outcome.REGRESSED)
PASSED = latency_verdict()


def again(*verdicts: Verdict, **changes: Any) -> RunRecord:
    """The run that was to confirm the first."""
    return dataclasses.replace(night_of(*verdicts, run_id=SECOND, **changes), confirms=FIRST)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (None, Confirmation.MISSING),
        (again(SLOWER), Confirmation.CONFIRMED),
        (again(PASSED), Confirmation.REFUTED),
        (again(latency_verdict(Outcome.INVALID)), Confirmation.UNSETTLED),
        (again(WORSE), Confirmation.UNSETTLED),
        (again(error="OOM"), Confirmation.UNSETTLED),
    ],
)
def test_a_regression_counts_if_a_second_run_finds_it(
    second: RunRecord | None, said: Confirmation
) -> None:
    night = judge_night([night_of(SLOWER), *([second] if second else [])])
    assert [each.confirmation for each in night.regressions] == [said]
    assert night.sessions == 1
    assert night.is_green is (said is Confirmation.REFUTED)
    assert len(night.confirmed) == (said is Confirmation.CONFIRMED)


def test_an_error_is_confirmed_by_another_error() -> None:
    night = judge_night([night_of(error="CompileError: x"), again(error="CompileError: x")])
    assert [each.error for each in night.confirmed] == ["CompileError: x"]


def test_a_night_is_green_only_if_everything_was_judged_and_held() -> None:
    assert judge_night([night_of(PASSED)]).is_green
    assert not judge_night([]).is_green
    assert not judge_night([night_of(latency_verdict(Outcome.INCONCLUSIVE))]).is_green
    assert not judge_night([dataclasses.replace(night_of(PASSED), complete=False)]).is_green
    recorded = record(TierResult("fp32", verdicts=(latency_verdict(Outcome.RECORDED),)))
    assert not judge_night([dataclasses.replace(recorded, complete=True)]).is_green


def test_the_worst_come_first() -> None:
    little = dataclasses.replace(SLOWER, change=0.1)
    made = night_of(little, WORSE).with_result(TierResult("bf16", verdicts=(SLOWER,)))
    made = made.with_result(TierResult("int8", error="boom"))
    order = [(each.label, each.metric) for each in judge_night([made]).regressions]
    assert [label for label, _ in order] == ["int8", "bf16", "sdpa", "sdpa"]


class FakePytest:
    """Stands for the second session: writes the record that it is told to."""

    def __init__(self, folder: Path, made: RunRecord | None) -> None:
        self.commands: list[list[str]] = []
        self._folder = folder
        self._made = made

    def __call__(self, command: list[str], **given: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command[3:])
        if self._made is not None:
            save_record(self._made, self._folder)
        return subprocess.CompletedProcess(command, 1)


def confirm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: RunRecord, second: RunRecord | None
) -> tuple[Result, FakePytest]:
    path = save_record(first, tmp_path)
    fake = FakePytest(tmp_path, second)
    monkeypatch.setattr("perfsuite.cli.night.subprocess.run", fake)
    return CliRunner().invoke(main, ["confirm", "--record", str(path)]), fake


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (again(SLOWER), 1),
        (again(PASSED), 0),
        (again(latency_verdict(Outcome.INVALID)), 3),
    ],
)
def test_confirm_measures_the_regressed_tiers_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: RunRecord, code: int
) -> None:
    second = dataclasses.replace(second, confirms=None)
    done, fake = confirm(tmp_path, monkeypatch, night_of(SLOWER), second)
    assert done.exit_code == code, done.output
    assert fake.commands == [["-m", "perf", "-q", "--perf-tiers=sdpa"]]
    assert "sdpa is 20% slower" in done.output
    kept = load_record(tmp_path / "runs" / f"{SECOND}.json")
    assert kept.confirms == FIRST
    assert (tmp_path / "runs" / f"{SECOND}.html").is_file()


def test_confirm_has_nothing_to_do_where_nothing_regressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, fake = confirm(tmp_path, monkeypatch, night_of(PASSED), None)
    assert (done.exit_code, fake.commands) == (0, [])


def test_confirm_could_not_run_where_the_second_run_left_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, _ = confirm(tmp_path, monkeypatch, night_of(SLOWER), None)
    assert done.exit_code == 4
    assert "left 0 records" in done.output


def test_the_second_run_does_not_write_over_what_the_first_has_written() -> None:
    command = (
        "pytest -m perf --perf-markdown m.md --perf-report=p.html --perf-update add "
        "--perf-tiers fp32,sdpa --perf-update tests/perf -k 'a or b'"
    )
    kept = cli_night._repeated(command)
    assert kept == ["-m", "perf", "tests/perf", "-k", "a or b"]


@pytest.fixture
def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `gh` that notes what it is asked; its open issue is in the file `open`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "gh"
    script.write_text(
        f"""#!/bin/sh
echo "$1 $2" >> {tmp_path}/asked
for word; do
  [ "$before" != --body-file ] || cat "$word" > "{tmp_path}/body"
  [ "$before" != --title ] || echo "$word" > "{tmp_path}/title"
  before=$word
done
[ "$1 $2" != "issue list" ] || cat {tmp_path}/open
[ "$1" != label ] || [ ! -f {tmp_path}/broken ] || {{ echo "HTTP 403" >&2; exit 1; }}
"""
    )
    script.chmod(0o755)
    (tmp_path / "open").write_text("")
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return tmp_path


def tell(folder: Path, *made: RunRecord, more: tuple[str, ...] = ()) -> Result:
    for each in made:
        save_record(each, folder)
    return CliRunner().invoke(main, ["issue", str(folder / "runs"), *more])


def test_a_confirmed_regression_opens_an_issue_with_what_grew(gh: Path) -> None:
    done = tell(gh, night_of(SLOWER), again(SLOWER), more=("--link", "https://x/runs/1"))
    assert done.exit_code == 0, done.output
    assert (gh / "asked").read_text().split("\n")[:-1] == [
        "issue list",
        "label create",
        "issue create",
    ]
    assert (gh / "title").read_text() == "Nightly: sdpa is 20% slower on AMD EPYC\n"
    body = (gh / "body").read_text()
    assert "1 regression, each seen in two processes" in body
    assert "+20 ±2.0%" in body
    assert "https://x/runs/1" in body
    assert "<details>" in body


def test_an_open_issue_is_added_to(gh: Path) -> None:
    (gh / "open").write_text("17\n")
    tell(gh, night_of(SLOWER), again(SLOWER))
    assert (gh / "asked").read_text().split("\n")[1:-1] == ["issue edit", "issue comment"]


def test_a_green_night_closes_it(gh: Path) -> None:
    (gh / "open").write_text("17\n")
    done = tell(gh, night_of(PASSED))
    assert "closed: 17" in done.output
    assert (gh / "asked").read_text().split("\n")[1:-1] == ["issue comment", "issue close"]


@pytest.mark.parametrize(
    "made", [night_of(SLOWER), night_of(latency_verdict(Outcome.INCONCLUSIVE))]
)
def test_any_other_night_leaves_it_as_it_is(gh: Path, made: RunRecord) -> None:
    done = tell(gh, made)
    assert done.exit_code == 0
    assert "stays as it is" in done.output
    assert not (gh / "asked").exists()


def test_half_a_record_is_no_green_night(gh: Path) -> None:
    save_record(night_of(PASSED), gh)
    (gh / "runs" / "2half.json").write_text("{")
    done = tell(gh)
    assert "stays as it is" in done.output


def test_gh_that_fails_or_is_not_there_is_one_line(
    gh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gh / "broken").touch()
    done = tell(gh, night_of(SLOWER), again(SLOWER))
    assert done.exit_code == 4
    assert "gh label create: HTTP 403" in done.output
    monkeypatch.setenv("PATH", str(gh))
    done = tell(gh)
    assert done.exit_code == 4
    assert "gh cannot be run" in done.output


def test_a_dry_run_prints_what_it_would_do(gh: Path) -> None:
    done = tell(gh, night_of(SLOWER), again(SLOWER), more=("--dry-run",))
    assert "gh issue create --title" in done.output
    assert (gh / "asked").read_text() == "issue list\n"
