"""The command `bisect` over a local index of small wheels: real pip, real environments.

The arms are fakes whose latency depends on which version their environment really holds.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from perfsuite.checkpoints import Checkpoint, registry
from perfsuite.cli import bisect as cli_bisect
from perfsuite.cli.commands import main
from perfsuite.environments import builder as environments
from perfsuite.environments.builder import Environments
from perfsuite.environments.spec import Requirements
from perfsuite.environments.versions import installed_version
from perfsuite.errors import EnvironmentBroken, OutputError
from perfsuite.page.publish import SUMMARY_VARIABLE
from perfsuite.results.ab import Arm, ArmFacts, save_gate
from perfsuite.results.bisection import Answer, Bisected, BisectRecord
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.storage import read_json
from tests.unit.ab_samples import Opener, gate_record, tier, wheel

FIRST_BAD = "1.3"
CACHES: list[dict[Arm, Path] | None] = []
"""Of every gate that was opened, where compiled code is kept."""


@pytest.fixture
def index(quick: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Options of pip for a folder of wheels: tiny 1.0 to 1.4, of which 1.2 does not install.

    Environments hold nothing else, and an arm in one is slower from `FIRST_BAD` on.
    """
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for minor in range(5):
        wheel(wheels, f"1.{minor}", "nowhere-to-be-found" if minor == 2 else "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(SUMMARY_VARIABLE, raising=False)
    monkeypatch.setitem(registry._CHECKPOINTS, "pocket", replace(quick, name="pocket"))
    monkeypatch.setattr(environments, "held_equal", lambda named: ())

    def seconds_in(python: Path) -> float:
        return 1.3 if installed_version(python, "tiny") >= FIRST_BAD else 1.0

    @contextlib.contextmanager
    def open_fakes(
        plan: object, control: Path, treatment: Path, caches: dict[Arm, Path] | None = None
    ) -> Iterator[Opener]:
        CACHES.append(caches)
        yield Opener(seconds_in(control), seconds_in(treatment))

    CACHES.clear()

    monkeypatch.setattr(cli_bisect, "open_workers", open_fakes)
    return f"--no-index --find-links {wheels}"


def bisect(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bisect", "--budget", "1", *arguments])


ASKED = ("--tier", "bf16", "--metric", "latency")


def test_the_planted_version_is_found(index: str, tmp_path: Path) -> None:
    ends = ("--good", f"{index} tiny==1.0", "--bad", f"{index} tiny==1.4")
    result = bisect(*ends, *ASKED, "--markdown", "issue.md")
    assert result.exit_code == 0, result.output
    (path,) = tmp_path.glob(".perfsuite/bisections/*.json")
    record = read_json(path, BisectRecord, schema=SCHEMA, error=OutputError, hint="")
    assert record.versions == ("1.0", "1.1", "1.2", "1.3", "1.4")
    assert record.result == Bisected("1.1", "1.3", ("1.2",))
    assert record.final is not None
    assert (record.final.version, record.final.against) == ("1.3", "1.1")
    answers = {each.version: each.answer for each in record.trials}
    assert answers["1.2"] is Answer.UNKNOWN
    said = " ".join(result.output.split())
    assert "1.2 1.0 unknown skipped: pip cannot install it (No matching distribution" in said
    assert "tiny 1.3 is the first bad version for latency of bf16 (pocket)" in said
    assert "not known, between them: 1.2" in said
    assert "1.3 against 1.1: +30 ±1.7% (95 % interval)" in said
    assert "1.0 ++?xx 1.4" in said
    issue = (tmp_path / "issue.md").read_text()
    assert issue.startswith("### tiny 1.3 is the first bad version")
    assert f'--bad "{index} tiny==1.4" --tier bf16 --metric latency' in issue
    assert re.search(r"5 gates; how long they take .* up to \d+ min for 5 gates in all", said)
    # The good end is compiled once; the last gate finds both arms' compiled code.
    kept = [each for each in CACHES if each is not None]
    assert len({each[Arm.CONTROL] for each in kept[:-1]}) == 1
    assert kept[0][Arm.CONTROL] == kept[0][Arm.TREATMENT]
    assert kept[-1][Arm.TREATMENT] in [each[Arm.TREATMENT] for each in kept[:-1]]
    # Four installed; a second search finds all of them there.
    assert len(list(tmp_path.glob(".perfsuite/envs/*/environment.json"))) == 4
    assert "building" not in bisect(*ends, *ASKED).output


def test_compiled_code_is_not_kept_where_compiling_is_what_is_asked_about(index: str) -> None:
    ends = ("--good", f"{index} tiny==1.0", "--bad", f"{index} tiny==1.1")
    result = bisect(*ends, "--tier", "bf16", "--metric", "compile")
    assert CACHES, result.output
    assert set(CACHES) == {None}


def test_ends_that_are_equal_are_not_searched(index: str) -> None:
    ends = ("--good", f"{index} tiny==1.0", "--bad", f"{index} tiny==1.1")
    result = bisect(*ends, *ASKED)
    assert result.exit_code == 3
    assert "not found: the bad end is not worse than the good one (passed)" in " ".join(
        result.output.split()
    )


def test_the_record_of_a_gate_is_an_end(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a gate that took 'the newest': the version that it got then is meant."""

    def recorded(version: str, outcome: Outcome) -> str:
        judged = replace(tier(), verdicts=(Verdict(Metric.LATENCY, outcome),))
        treatment = ArmFacts(f"{index} tiny", "3.11.7", "/env", {"Tiny": version})
        record = replace(gate_record(judged), gate_id=version, treatment=treatment)
        return str(save_gate(record, tmp_path))

    wanted: list[Requirements] = []

    def refuse(self: Environments, spec: Requirements) -> Path:
        wanted.append(spec)
        if len(wanted) == 2:
            raise EnvironmentBroken("enough", hint="")
        return Path(sys.executable)

    monkeypatch.setattr(Environments, "provide", refuse)
    result = bisect(
        "--good", recorded("1.0", Outcome.PASSED), "--bad", recorded("1.4", Outcome.REGRESSED)
    )
    assert result.exit_code == 4, result.output
    assert [spec.packages for spec in wanted] == [("tiny==1.0",), ("tiny==1.4",)]
    good = recorded("1.4", Outcome.PASSED)
    result = bisect("--good", "tiny==1.0", "--bad", good)
    assert result.exit_code == 2
    assert "found no regression that can be bisected: name --tier" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--good", "tiny==1.0", "--bad", "tiny==1.4"), "--tier and --metric are missing"),
        (("--good", "tiny==1.0", "--bad", "other==2", *ASKED), "other and tiny are two packages"),
        (("--good", ".", "--bad", ".", *ASKED), "two environments have no versions between"),
        (
            ("--good", "a==1", "--bad", "a==2", "--tier", "bf17", "--metric", "latency"),
            "unknown tier 'bf17'",
        ),
        (
            ("--good", "tiny==1.4", "--bad", "tiny==1.0", *ASKED),
            "--good is version 1.4, which is not older than --bad, 1.0",
        ),
        (("--good", "./none.json", "--bad", "a==2", *ASKED), "./none.json does not exist"),
    ],
)
@pytest.mark.usefixtures("index")
def test_wrong_usage_is_said_before_anything_is_installed(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    def refuse(self: Environments, spec: object) -> Any:
        raise AssertionError(spec)

    monkeypatch.setattr(Environments, "provide", refuse)
    result = bisect(*arguments)
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.output.split())


def test_an_index_that_does_not_know_the_package_is_said_before_anything_is_built(
    index: str, tmp_path: Path
) -> None:
    ends = ("--good", f"{index} other==1", "--bad", f"{index} other==2")
    result = bisect(*ends, *ASKED)
    assert result.exit_code == 4, result.output
    assert "pip cannot list the versions of other" in " ".join(result.output.split())
    assert not list(tmp_path.glob(".perfsuite/envs/*"))


def test_ctrl_c_keeps_what_was_tried(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def interrupted(*_: object, **__: object) -> Iterator[Opener]:
        raise KeyboardInterrupt
        yield Opener()

    monkeypatch.setattr(cli_bisect, "open_workers", interrupted)
    result = bisect("--good", f"{index} tiny==1.0", "--bad", f"{index} tiny==1.1", *ASKED)
    assert result.exit_code == 130
    assert list(tmp_path.glob(".perfsuite/bisections/*.json"))
