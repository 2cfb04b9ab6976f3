from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfsuite.errors import SettingsError
from perfsuite.options import HISTORY_VARIABLE, LABEL_VARIABLE, OPTIONS
from perfsuite.settings import Settings, find_root, in_ci, resolve_settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv(LABEL_VARIABLE, raising=False)
    monkeypatch.delenv(HISTORY_VARIABLE, raising=False)


def project(folder: Path, table: str) -> Path:
    (folder / "pyproject.toml").write_text(f"[tool.perfsuite]\n{table}\n", encoding="utf-8")
    return folder


def refusal(given: dict[str, Any], root: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        resolve_settings(given, root)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_without_a_word_the_defaults_hold(tmp_path: Path) -> None:
    assert resolve_settings({}, tmp_path) == Settings(
        device="auto",
        checkpoint=None,
        tiers=None,
        baselines=tmp_path / "baselines",
        update=None,
        missing="record",
        tolerance=0.05,
        budget_s=None,
        out=tmp_path / ".perfsuite",
        machine_label=None,
        threads=None,
        strict=False,
        only=None,
        history=str(tmp_path / ".perfsuite" / "history.sqlite"),
    )


def test_the_command_line_speaks_text(tmp_path: Path) -> None:
    given = {
        "device": "cuda",
        "checkpoint": " sdxl ",
        "tiers": "fp32, bf16,",
        "baselines": "elsewhere",
        "update": "add",
        "missing": "skip",
        "tolerance": "0.1",
        "budget": "5",
        "out": str(tmp_path / "absolute"),
        "machine-label": "rack-7.b_2",
        "threads": "4",
        "strict": True,
        "only": "quality",
        "history": "nights.sqlite",
    }
    assert resolve_settings(given, tmp_path) == Settings(
        device="cuda",
        checkpoint="sdxl",
        tiers=("fp32", "bf16"),
        baselines=tmp_path / "elsewhere",
        update="add",
        missing="skip",
        tolerance=0.1,
        budget_s=5.0,
        out=tmp_path / "absolute",
        machine_label="rack-7.b_2",
        threads=4,
        strict=True,
        only="quality",
        history=str(tmp_path / "nights.sqlite"),
    )


def test_the_history_is_a_file_beside_the_records_a_url_or_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = "postgresql://perf@ci/history"
    assert resolve_settings({"out": "o"}, tmp_path).history == str(tmp_path / "o/history.sqlite")
    assert resolve_settings({"history": server}, tmp_path).history == server
    assert resolve_settings({"history": "off"}, tmp_path).history is None
    monkeypatch.setenv(HISTORY_VARIABLE, server)
    assert resolve_settings({}, tmp_path).history == server
    assert resolve_settings({"history": "off"}, tmp_path).history is None


def test_pyproject_speaks_toml(tmp_path: Path) -> None:
    root = project(
        tmp_path, 'tiers = ["fp32", "sdpa"]\ntolerance = 0.08\nthreads = 2\nstrict = true'
    )
    chosen = resolve_settings({}, root)
    assert (chosen.tiers, chosen.tolerance) == (("fp32", "sdpa"), 0.08)
    assert (chosen.threads, chosen.strict) == (2, True)


def test_the_command_line_wins_over_pyproject(tmp_path: Path) -> None:
    root = project(tmp_path, "tolerance = 0.08\nbudget = 60")
    chosen = resolve_settings({"tolerance": "0.2", "budget": None}, root)
    assert (chosen.tolerance, chosen.budget_s) == (0.2, 60.0)


BAD_VALUES = [
    ("device", "  ", "takes a name"),
    ("checkpoint", "", "takes a name"),
    ("tiers", " , ", "takes at least one name"),
    ("tiers", [], "takes at least one name"),
    ("tiers", 3, "takes names, separated by commas"),
    ("tiers", [1], "takes names, separated by commas"),
    ("baselines", "", "takes a name"),
    ("update", "overwrite", "takes replace, add"),
    ("exactness", "none", "takes reduced, full"),
    ("time-limit", "0", "takes a time such as 90s, 30m or 2h"),
    ("time-limit", "-1", "takes a time such as 90s, 30m or 2h"),
    ("time-limit", "soon", "takes a time such as 90s, 30m or 2h"),
    ("time-limit", "1d", "takes a time such as 90s, 30m or 2h"),
    ("time-limit", "", "takes a time such as 90s, 30m or 2h"),
    ("time-limit", True, "takes a time such as 90s, 30m or 2h"),
    ("missing", "ignore", "takes record, once, skip, fail"),
    ("missing", ["record"], "takes record, once, skip, fail"),
    ("tolerance", "0", "above 0 and up to 1, such as 0.05"),
    ("tolerance", "-0.1", "above 0 and up to 1, such as 0.05"),
    ("tolerance", "5", "above 0 and up to 1, such as 0.05"),
    ("tolerance", "5%", "above 0 and up to 1, such as 0.05"),
    ("tolerance", "nan", "above 0 and up to 1, such as 0.05"),
    ("tolerance", True, "above 0 and up to 1, such as 0.05"),
    ("budget", "0", "above 0 and up to 86400, such as 30"),
    ("budget", "inf", "above 0 and up to 86400, such as 30"),
    ("budget", "30s", "above 0 and up to 86400, such as 30"),
    ("out", " ", "takes a name"),
    ("history", "", "takes a name"),
    ("machine-label", "a/b", "takes letters, digits, dots, dashes and underscores"),
    ("machine-label", "..", "takes letters, digits, dots, dashes and underscores"),
    ("machine-label", "x" * 65, "takes letters, digits, dots, dashes and underscores"),
    ("threads", "0", "takes a whole number from 1"),
    ("threads", "-1", "takes a whole number from 1"),
    ("threads", "2.5", "takes a whole number from 1"),
    ("threads", True, "takes a whole number from 1"),
    ("strict", "yes", "takes true or false"),
    ("profile", "yes", "takes true or false"),
    ("only", "memory", "takes latency, quality"),
    ("require-baseline", 1, "takes true or false"),
    ("workload", " , ", "takes at least one name"),
    ("workload", 7, "takes names, separated by commas"),
    ("steps", "0", "takes a whole number from 1 to 1000"),
    ("steps", "1001", "takes a whole number from 1 to 1000"),
    ("steps", "4.0", "takes a whole number from 1 to 1000"),
    ("steps", True, "takes a whole number from 1 to 1000"),
    ("steps", "\u0664", "takes a whole number from 1 to 1000"),
    ("guidance", "-1", "takes a number from 0 to 100, such as 5"),
    ("guidance", "nan", "takes a number from 0 to 100, such as 5"),
    ("guidance", "strong", "takes a number from 0 to 100, such as 5"),
    ("guidance", [5], "takes a number from 0 to 100, such as 5"),
    ("size", "1024", "takes WIDTHxHEIGHT in pixels, multiples of 8 from 16"),
    ("size", "1024x700", "takes WIDTHxHEIGHT in pixels, multiples of 8 from 16"),
    ("size", "8x8", "takes WIDTHxHEIGHT in pixels, multiples of 8 from 16"),
    ("size", "64x64x64", "takes WIDTHxHEIGHT in pixels, multiples of 8 from 16"),
    ("size", [64, 64], "takes WIDTHxHEIGHT in pixels, multiples of 8 from 16"),
    ("batch", "-2", "takes a whole number from 1 to 1000"),
    ("prompt", "  ", "takes a text"),
    ("prompt", ["a fox"], "takes a text"),
    ("report", "", "takes a name"),
    ("markdown", 3, "takes a name"),
]


@pytest.mark.parametrize(("name", "value", "hint"), BAD_VALUES)
def test_a_bad_value_names_its_option_and_what_it_takes(
    name: str, value: Any, hint: str, tmp_path: Path
) -> None:
    message = refusal({name: value}, tmp_path)
    assert message.startswith(f"--perf-{name} cannot be {value!r}: it ")
    assert hint in message


def test_every_option_has_a_bad_value_in_these_tests() -> None:
    assert {option.name for option in OPTIONS} == {name for name, _, _ in BAD_VALUES}


def test_a_bad_value_in_pyproject_names_the_key_and_the_file(tmp_path: Path) -> None:
    message = refusal({}, project(tmp_path, 'tolerance = "wide"'))
    assert message.startswith("[tool.perfsuite] tolerance in pyproject.toml cannot be 'wide': ")


def test_an_unknown_key_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    message = refusal({}, project(tmp_path, "tolerence = 0.1"))
    assert "has no key 'tolerence'" in message
    assert all(option.name in message for option in OPTIONS)


def test_toml_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    message = refusal({}, project(tmp_path, "tolerance = = 1"))
    assert message.startswith(str(tmp_path / "pyproject.toml"))
    assert message.endswith("fix its TOML")


def test_a_pyproject_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"# caf\xe9\n")
    assert "pyproject.toml cannot be read" in refusal({}, tmp_path)


def test_the_tables_of_other_tools_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\ntolerance = 9\n", encoding="utf-8")
    assert resolve_settings({}, tmp_path).tolerance == 0.05


def test_the_machine_label_can_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LABEL_VARIABLE, "rack-7")
    assert resolve_settings({}, tmp_path).machine_label == "rack-7"
    assert resolve_settings({"machine-label": "rack-8"}, tmp_path).machine_label == "rack-8"


def test_a_bad_label_in_the_environment_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LABEL_VARIABLE, "rack 7")
    assert refusal({}, tmp_path).startswith(f"${LABEL_VARIABLE} cannot be 'rack 7': ")


def test_a_required_baseline_is_required_in_ci_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path, "require-baseline = true")
    assert resolve_settings({}, root).missing == "record"
    monkeypatch.setenv("CI", "true")
    assert resolve_settings({}, root).missing == "fail"
    assert resolve_settings({"missing": "skip"}, root).missing == "fail"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", True), ("1", True), ("YES", True), ("woodpecker", True)]
    + [(value, False) for value in ("", " ", "0", "false", "False", "no", "off")],
)
def test_ci_is_what_is_not_a_spelling_of_no(
    value: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", value)
    assert in_ci() is expected
    assert resolve_settings({}, tmp_path).strict is expected
    required = resolve_settings({"require-baseline": True}, tmp_path).missing
    assert required == ("fail" if expected else "record")


def test_strict_is_what_was_said_before_what_ci_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert not resolve_settings({"strict": False}, tmp_path).strict
    root = project(tmp_path, "strict = false")
    assert not resolve_settings({}, root).strict
    assert resolve_settings({"strict": True}, root).strict


def test_the_root_is_the_nearest_folder_with_a_table_in_the_same_repository(
    tmp_path: Path,
) -> None:
    project(tmp_path, "budget = 1")
    below = tmp_path / "tests" / "perf"
    below.mkdir(parents=True)
    assert find_root(below) == tmp_path
    (below.parent / ".git").mkdir()
    assert find_root(below) == below
    (below / "pyproject.toml").write_text("[tool.other]\n")
    assert find_root(below) == below


def test_a_commands_message_names_the_commands_option(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^--tiers cannot be ' , '"):
        resolve_settings({"tiers": " , "}, tmp_path, flag="--")


def test_ci_alone_requires_no_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert resolve_settings({}, tmp_path).missing == "record"


@pytest.mark.parametrize(
    "text",
    ["[tool]\nperfsuite = 3\n", "tool = 3\n", f"[tool.perfsuite]\nbudget = 1{'0' * 400}\n"],
    ids=["perfsuite is a number", "tool is a number", "a huge number"],
)
def test_valid_toml_of_the_wrong_shape_is_one_line_too(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    assert "pyproject.toml" in refusal({}, tmp_path)


@pytest.mark.parametrize(
    ("given", "seconds"), [("90", 90.0), ("90s", 90.0), ("30m", 1800.0), ("1.5h", 5400.0)]
)
def test_a_time_limit_takes_seconds_minutes_and_hours(
    given: str, seconds: float, tmp_path: Path
) -> None:
    assert resolve_settings({"time-limit": given}, tmp_path).time_limit_s == seconds


def test_a_folder_behind_a_url_is_a_copy_under_the_project(tmp_path: Path) -> None:
    settings = resolve_settings({"out": "memory://perf/out"}, tmp_path)
    assert settings.out.is_relative_to(tmp_path / ".perfsuite" / "mirror")
    assert [(each.url, each.folder) for each in settings.mirrors] == [
        ("memory://perf/out", settings.out)
    ]
    assert settings.baselines == tmp_path / "baselines"
