"""perfsuite in a repository that has tests, fixtures, markers and plugins of its own."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.ladder import table
from perfsuite.results.session import load_record

PERF = """
    import pytest

    @pytest.mark.perf
    def test_latency(perf_latency_verdict, perf_enforce):
        perf_enforce(perf_latency_verdict)

    @pytest.mark.perf
    def test_images(perf_quality_verdict, perf_enforce):
        perf_enforce(perf_quality_verdict)
"""
OWN = """
    import pytest
    from pack import VALUE

    @pytest.fixture
    def tier():
        return 7

    @pytest.fixture
    def enforce():
        return 8

    @pytest.fixture
    def perf_run():  # the name is perfsuite's, the fixture is not
        return 9

    @pytest.mark.slow
    def test_slow():
        assert VALUE == 3

    @pytest.mark.enforce
    def test_fixtures(tier, enforce, perf_run):
        assert (tier, enforce, perf_run) == (7, 8, 9)

    @pytest.mark.parametrize("tier", ["a", "b"])
    def test_parametrised(tier):
        assert tier in "ab"

    @pytest.mark.cuda
    def test_on_an_accelerator_of_ours():
        pass

    def test_that_fails():
        assert VALUE == 4
"""
INI = """
    [pytest]
    addopts = --strict-markers
    testpaths = tests
    pythonpath = src
    markers =
        slow: ours
        enforce: ours
        cuda: ours
"""
QUICK = ("-m", "perf", "--perf-checkpoint=quick", "--perf-budget=0.2", "--perf-tiers=fp32")
OUTCOMES = {"passed": 5, "failed": 1}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"^    ", "", text.lstrip("\n"), flags=re.MULTILINE))


@pytest.fixture
def repository(
    pytester: pytest.Pytester, libraries: None, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """A repository in src layout, with a nested conftest and markers and fixtures of its own."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(table, "_TIERS", dict(table._TIERS))
    files = {
        "pytest.ini": INI,
        "src/pack/__init__.py": "VALUE = 3\n",
        "tests/own/test_own.py": OWN,
        "tests/own/conftest.py": "import pack\n",
        "pyproject.toml": '[tool.perfsuite]\nonly = "latency"\n',
    }
    write(pytester.path / "repo", files)
    monkeypatch.chdir(pytester.path / "repo")
    return pytester


@pytest.fixture
def measured(repository: pytest.Pytester, quick: Checkpoint) -> pytest.Pytester:
    """The same repository with the README's two tests, and all of them measure."""
    write(Path(), {"tests/test_perf.py": PERF, "pyproject.toml": ""})
    return repository


@pytest.fixture
def untraced() -> Iterator[None]:
    """A refused session in this process ends before pytest-cov takes its tracer away."""
    before = sys.gettrace()
    yield
    sys.settrace(before)


def refusal(project: pytest.Pytester, *arguments: str) -> str:
    """The one line that a session ends with before it measures."""
    result = project.runpytest_inprocess(*QUICK, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not list(Path(".perfsuite").glob("runs/*"))
    (line,) = [line for line in result.stderr.lines if line.startswith("ERROR: ")]
    return line


def test_a_guest_changes_no_outcome(repository: pytest.Pytester) -> None:
    alone = repository.runpytest_inprocess("-p", "no:perfsuite")
    assert alone.parseoutcomes() == OUTCOMES
    assert repository.runpytest_inprocess().parseoutcomes() == OUTCOMES


def test_tests_that_measure_beside_them_change_no_outcome(measured: pytest.Pytester) -> None:
    assert measured.runpytest_inprocess().parseoutcomes() == OUTCOMES | {"deselected": 2}
    assert not Path(".perfsuite").exists()


def test_settings_that_cannot_be_used_stop_no_session_that_measures_nothing(
    measured: pytest.Pytester,
) -> None:
    write(Path(), {"pyproject.toml": "[tool.perfsuite]\ntolerence = 1\n"})
    for arguments in ((), ("-m", "not perf"), ("-m", "slow")):
        outcomes = measured.runpytest_inprocess(*arguments).parseoutcomes()
        assert outcomes["passed"] >= 1
        assert "errors" not in outcomes
    assert "has no key 'tolerence'" in refusal(measured)


def test_a_wrong_option_is_refused_whatever_is_selected(repository: pytest.Pytester) -> None:
    result = repository.runpytest_inprocess("--perf-tolerance=0")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --perf-tolerance cannot be '0'*"])


def test_the_two_tests_of_the_readme_measure(measured: pytest.Pytester) -> None:
    result = measured.runpytest_inprocess(*QUICK, "-rs")
    result.assert_outcomes(passed=1, skipped=1, deselected=6)
    result.stdout.fnmatch_lines(
        [
            f"perfsuite: settings, baselines and records are those of {Path.cwd()}",
            "fp32 * recorded",
            "1 judged, 1 recorded, 0 skipped",
        ]
    )
    assert load_record(Path(".perfsuite/runs/latest.json")).complete


HEAVY = ("torch", "diffusers", "transformers", "numpy", "scipy", "rich", "msgspec", "skimage")
WATCH = f"""
    import os, sys

    def pytest_unconfigure(config):
        heavy = [name for name in {HEAVY} if name in sys.modules]
        print("heavy:", heavy, "descriptors:", len(os.listdir("/proc/self/fd")))
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
@pytest.mark.parametrize("arguments", [(), ("-m", "not perf")], ids=["plain", "not perf"])
def test_a_session_that_measures_nothing_imports_and_opens_nothing(
    measured: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    write(Path(), {"conftest.py": WATCH, "tests/own/test_own.py": "def test_own(): pass"})
    quiet = ("-s", "-p", "no:randomly")  # which imports numpy itself
    beside = measured.runpytest_subprocess(*quiet, *arguments).stdout.str()
    Path("tests/test_perf.py").unlink()
    alone = measured.runpytest_subprocess(*quiet, "-p", "no:perfsuite").stdout.str()
    found = [re.search(r"heavy: (.*)", said) for said in (beside, alone)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0][1] == found[1][1]
    assert found[0][1].startswith("[] ")


def test_a_test_that_uses_a_fixture_needs_no_marker(measured: pytest.Pytester) -> None:
    write(Path(), {"tests/test_perf.py": PERF.replace("@pytest.mark.perf", "")})
    assert measured.runpytest_inprocess().parseoutcomes() == OUTCOMES | {"deselected": 2}
    result = measured.runpytest_inprocess(*QUICK, "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*::test_latency?fp32?", "*::test_images?fp32?"])


def test_a_marked_test_without_a_fixture_is_never_of_the_wrong_kind(
    measured: pytest.Pytester,
) -> None:
    write(
        Path(), {"tests/test_perf.py": "import pytest\n@pytest.mark.perf\ndef test_plain(): pass"}
    )
    for only in ("latency", "quality"):
        result = measured.runpytest_inprocess(*QUICK, f"--perf-only={only}")
        result.assert_outcomes(passed=1, deselected=6)
    assert not Path(".perfsuite").exists()


def test_a_word_that_is_a_folder_does_not_move_the_root(measured: pytest.Pytester) -> None:
    for name in ("records", "baselines"):
        (measured.path / name).mkdir()
    where = ("--perf-out", "../records", "--perf-baselines", "../baselines")
    result = measured.runpytest_inprocess(*QUICK, *where, "--perf-only=latency")
    result.stdout.fnmatch_lines([f"rootdir: {Path.cwd()}", "configfile: pytest.ini"])
    result.stdout.fnmatch_lines([f"perfsuite: * are those of {Path.cwd()}"])
    assert (measured.path / "records" / "runs" / "latest.json").is_file()
    assert not Path(".perfsuite").exists()


def test_neither_does_one_in_the_environment(
    measured: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    (measured.path / "records").mkdir()
    monkeypatch.setenv("PYTEST_ADDOPTS", "--perf-out ../records")
    result = measured.runpytest_inprocess("--collect-only")
    result.stdout.fnmatch_lines([f"rootdir: {Path.cwd()}", "configfile: pytest.ini"])


def test_a_folder_below_the_root_has_the_roots_settings(measured: pytest.Pytester) -> None:
    write(
        Path(),
        {
            "pyproject.toml": '[tool.perfsuite]\nout = "kept"\n',
            "tests/pytest.ini": "[pytest]\npythonpath = ../src\n",
        },
    )
    measured.runpytest_inprocess("tests/test_perf.py", *QUICK, "--perf-only=latency")
    assert Path("kept/runs/latest.json").is_file()


def test_a_nested_conftest_registers_a_tier_that_is_named(measured: pytest.Pytester) -> None:
    conftest = """
    from perfsuite import Tier, register_tier

    register_tier(Tier("nested", "fp32", (), why="for a test"))
    """
    write(Path(), {"tests/zone/conftest.py": conftest, "tests/zone/test_zone.py": PERF})
    named = (*QUICK[:-1], "--perf-tiers=nested", "--perf-only=latency")
    result = measured.runpytest_inprocess(*named, "--collect-only", "-q")
    assert re.findall(r"\[(.*)\]", result.stdout.str()) == ["nested", "nested"]
    assert "unknown tier 'warp'" in refusal(measured, "--perf-tiers=nested,warp")


def test_params_name_the_tier_so_that_compare_can_group(measured: pytest.Pytester) -> None:
    measured.runpytest_inprocess(*QUICK, "--perf-only=latency", "--benchmark-json=out.json")
    (entry,) = json.loads(Path("out.json").read_text())["benchmarks"]
    assert entry["params"] == {"perf_tier": "fp32"}


def test_a_test_may_choose_its_tiers_by_hand(measured: pytest.Pytester) -> None:
    by_hand = (
        '@pytest.mark.parametrize("perf_tier", ["bf16"], indirect=True)\n    @pytest.mark.perf'
    )
    write(Path(), {"tests/test_perf.py": PERF.replace("@pytest.mark.perf", by_hand)})
    result = measured.runpytest_inprocess(*QUICK, "--collect-only", "-q")
    assert re.findall(r"\[(.*)\]", result.stdout.str()) == ["bf16", "bf16"]


def test_a_fixture_built_on_ours_is_ours(measured: pytest.Pytester) -> None:
    conftest = """
    import pytest

    @pytest.fixture
    def perf_measurement(perf_measurement):
        return perf_measurement
    """
    write(Path(), {"tests/conftest.py": conftest})
    result = measured.runpytest_inprocess(*QUICK, "--perf-only=latency")
    result.stdout.fnmatch_lines(["0 judged, 1 recorded, 0 skipped"])


def test_distribution_is_refused_where_it_would_measure_and_nowhere_else(
    measured: pytest.Pytester,
) -> None:
    pytest.importorskip("xdist")
    write(Path(), {"pytest.ini": INI.replace("--strict", "-n 1 --strict")})
    assert "pass -n 0 (pytest-xdist)" in refusal(measured)
    assert measured.runpytest_inprocess().parseoutcomes() == OUTCOMES


def test_repeats_in_one_process_are_refused(measured: pytest.Pytester) -> None:
    pytest.importorskip("pytest_repeat")
    assert "leave out --count (pytest-repeat)" in refusal(measured, "--count=3")
    outcomes = measured.runpytest_inprocess("--count=2").parseoutcomes()
    assert outcomes["passed"] == 2 * OUTCOMES["passed"]


def test_setting_up_alone_is_refused_and_planning_is_not(measured: pytest.Pytester) -> None:
    assert "leave out --setup-only" in refusal(measured, "--setup-only")
    assert measured.runpytest_inprocess(*QUICK, "--setup-plan").ret == pytest.ExitCode.OK


def test_reruns_are_refused_on_the_command_line_and_as_a_marker(
    measured: pytest.Pytester,
) -> None:
    pytest.importorskip("pytest_rerunfailures")
    assert "leave out --reruns" in refusal(measured, "--reruns=2")
    assert measured.runpytest_inprocess("--reruns=1").parseoutcomes()["rerun"] == 1
    flaky = PERF.replace("@pytest.mark.perf", "@pytest.mark.flaky(reruns=2)\n    @pytest.mark.perf")
    write(Path(), {"tests/test_perf.py": flaky})
    assert "the marker flaky" in refusal(measured)


def test_coverage_is_refused_for_latency(measured: pytest.Pytester, untraced: None) -> None:
    pytest.importorskip("pytest_cov")
    assert "coverage slows the probe" in refusal(measured, "--cov=pack")
    result = measured.runpytest_inprocess(*QUICK, "--cov=pack", "--perf-only=quality")
    assert result.parseoutcomes()["passed"] == 1


def test_a_tracer_is_refused_for_latency(measured: pytest.Pytester) -> None:
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        assert "a tracer (sys.settrace) slows the probe" in refusal(measured)
    finally:
        sys.settrace(before)


def test_benchmarks_that_are_enabled_again_are_measured(measured: pytest.Pytester) -> None:
    assert "leave out --benchmark-skip" in refusal(measured, "--benchmark-skip")
    assert "leave out --benchmark-disable" in refusal(measured, "--benchmark-disable")
    assert "leave out -p no:benchmark" in refusal(measured, "-p", "no:benchmark")
    on = ("--benchmark-disable", "--benchmark-enable", "--perf-only=latency")
    result = measured.runpytest_inprocess(*QUICK, *on)
    result.stdout.fnmatch_lines(["0 judged, 1 recorded, 0 skipped"])


def test_images_need_no_timing(measured: pytest.Pytester) -> None:
    off = ("-p", "no:benchmark", "--perf-only=quality")
    measured.runpytest_inprocess(*QUICK, *off).assert_outcomes(passed=1, deselected=7)


def test_tiers_stay_together_whatever_shuffles_the_tests(measured: pytest.Pytester) -> None:
    shuffle = """
    import pytest

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(items):
        items.sort(key=lambda item: hash((item.name, 3)))
        items.reverse()
    """
    write(Path(), {"conftest.py": shuffle})
    rows = dict(table._TIERS)
    rows["twin"] = dataclasses.replace(rows["fp32"], name="twin", parent="fp32")
    table._TIERS = rows
    both = (*QUICK[:-1], "--perf-tiers=twin,fp32", "--collect-only", "-q")
    named = re.findall(r"::(\S+)", measured.runpytest_inprocess(*both).stdout.str())
    tests = ("test_latency", "test_images")
    assert named == [f"{test}[{tier}]" for tier in ("fp32", "twin") for test in tests]


def test_two_tests_measure_three_workloads(measured: pytest.Pytester) -> None:
    tables = """
    [tool.perfsuite.workloads.wide]
    size = "80x64"
    [tool.perfsuite.workloads.two-steps]
    steps = 2
    """
    write(Path(), {"pyproject.toml": tables})
    chosen = "--perf-workload=default,wide,two-steps"
    result = measured.runpytest_inprocess(*QUICK, chosen)
    result.stdout.fnmatch_lines(["3 judged, 3 recorded, 0 skipped"])
    record = load_record(Path(".perfsuite/runs/latest.json"))
    assert {each.label for each in record.tiers} == {
        "fp32-default",
        "fp32-wide",
        "fp32-two-steps",
    }
    assert all(len(each.verdicts) == 2 for each in record.tiers)
