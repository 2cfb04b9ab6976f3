"""The plugin in whole pytest sessions, on the real pocket pipeline with one denoising step."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.device import CpuDevice
from perfsuite.errors import OutputError
from perfsuite.ladder import BuiltTier, Tier, table
from perfsuite.measure import sampling
from perfsuite.measure.conditions import FakeWatch
from perfsuite.results.machine import Conditions
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.session import RunRecord, TierResult, load_record
from perfsuite.results.verdict import Metric, Verdict
from perfsuite.session.run import Run
from perfsuite.stores.baselines import Baseline

TESTS = """
    import pytest

    @pytest.mark.perf
    def test_latency(perf_latency_verdict, perf_enforce):
        perf_enforce(perf_latency_verdict)

    @pytest.mark.perf
    def test_images(perf_quality_verdict, perf_enforce):
        perf_enforce(perf_quality_verdict)

    def test_own():
        pass
"""
QUICK = ("-m", "perf", "--perf-checkpoint", "quick", "--perf-budget", "0.2")


@pytest.fixture
def project(
    pytester: pytest.Pytester, quick: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """A project with two tests, and two more tiers in fp32: bf16 takes seconds an image here."""
    rows = dict(table._TIERS)
    for name in ("twin", "third"):
        rows[name] = dataclasses.replace(rows["fp32"], name=name, parent="fp32", changes=())
    monkeypatch.setattr(table, "_TIERS", rows)
    pytester.makepyfile(TESTS)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_inprocess(*QUICK, *arguments)


def latest(project: pytest.Pytester) -> RunRecord:
    return load_record(project.path / ".perfsuite" / "runs" / "latest.json")


def verdict_on(result: TierResult, metric: Metric) -> Verdict:
    verdict = result.verdict(metric)
    assert verdict is not None
    return verdict


def worst_ssim(result: TierResult) -> float:
    return verdict_on(result, Metric.IMAGES).measured or 0.0


def baseline_path(project: pytest.Pytester) -> Path:
    (path,) = (project.path / ".perfsuite" / "baselines").glob("*/quick.json")
    return path


def test_plain_pytest_runs_only_the_projects_own_tests(project: pytest.Pytester) -> None:
    result = project.runpytest_inprocess()
    result.assert_outcomes(passed=1, deselected=2)
    assert not (project.path / ".perfsuite").exists()


def test_the_first_run_has_no_baseline_says_so_and_records_one(project: pytest.Pytester) -> None:
    result = run(project, "--perf-tiers", "fp32,twin", "-rs")
    result.assert_outcomes(passed=2, skipped=2, deselected=1)
    result.stdout.fnmatch_lines(["fp32 * recorded", "*no baseline for this hardware yet*"])
    result.stdout.fnmatch_lines(["2 judged, 2 recorded, 0 skipped"])
    assert baseline_path(project).is_file()


def test_the_second_run_compares_with_the_first(project: pytest.Pytester) -> None:
    run(project, "--perf-tiers", "twin,fp32")
    run(project, "--perf-tiers", "twin,fp32")
    record = latest(project)
    assert [result.tier for result in record.tiers] == ["fp32", "twin"]
    assert record.baseline == str(baseline_path(project).relative_to(project.path / ".perfsuite"))
    verdicts = [verdict_on(each, Metric.LATENCY) for each in record.tiers]
    assert all(each.change is not None for each in verdicts)
    assert record.complete


def test_halving_one_number_of_the_baseline_fails_that_tier_only(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Everything runs, and every image takes the same time: six samples on a busy machine can
    # scatter by more than a factor of two.
    def steadily(self: CpuDevice, work: Callable[[], object]) -> tuple[float, object]:
        return 0.2, work()

    monkeypatch.setattr(CpuDevice, "timed", steadily)
    run(project, "--perf-tiers", "fp32,twin")
    path = baseline_path(project)
    stored = json.loads(path.read_text())
    stored["tiers"]["twin"]["accepted_latency_s"] /= 2
    path.write_text(json.dumps(stored))

    result = run(project, "--perf-tiers", "fp32,twin")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(
        ["*latency regressed: baseline * ms, measured * ms, change +*95 % interval*tolerance 5.0%*"]
    )
    result.stdout.fnmatch_lines(["FAILED *test_latency?twin?*"])


def test_one_tier_alone_needs_no_other_where_references_exist(project: pytest.Pytester) -> None:
    run(project, "--perf-tiers", "fp32")
    run(project, "--perf-tiers", "third")
    record = latest(project)
    assert [result.tier for result in record.tiers] == ["third"]
    assert worst_ssim(record.tiers[0]) > 0.9


def test_a_session_without_fp32_makes_the_references_with_it_before_its_first_tier(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    build = Run.build

    def noted(self: Run, tier: Tier, **options: bool) -> BuiltTier:
        built.append(tier.name)
        return build(self, tier, **options)

    monkeypatch.setattr(Run, "build", noted)
    run(project, "--perf-tiers", "twin,third")
    assert built == ["fp32", "twin", "third"]
    assert [result.tier for result in latest(project).tiers] == ["twin", "third"]
    assert worst_ssim(latest(project).tiers[0]) > 0.9
    built.clear()
    run(project, "--perf-tiers", "twin")
    assert built == ["twin"]


def test_update_makes_the_run_the_committed_baseline_and_add_adds_one(
    project: pytest.Pytester,
) -> None:
    import msgspec

    arguments = ("--perf-tiers", "twin", "--perf-only=latency")
    run(project, *arguments, "--perf-update").assert_outcomes(passed=1, deselected=2)
    run(project, *arguments, "--perf-update=add")
    (path,) = (project.path / "baselines").glob("*/quick.json")
    baseline = msgspec.json.decode(path.read_bytes(), type=Baseline)
    assert len(baseline.tiers["twin"].runs) == 2
    run(project, *arguments, "--perf-update")
    baseline = msgspec.json.decode(path.read_bytes(), type=Baseline)
    assert len(baseline.tiers["twin"].runs) == 1


def test_only_latency_or_only_quality_leaves_out_the_other(project: pytest.Pytester) -> None:
    arguments = ("--perf-tiers", "fp32")
    run(project, *arguments, "--perf-only=quality").assert_outcomes(passed=1, deselected=2)
    assert latest(project).result("fp32").measurement is None
    run(project, *arguments, "--perf-only=latency").assert_outcomes(skipped=1, deselected=2)
    assert latest(project).result("fp32").verdict(Metric.IMAGES) is None


def test_pytest_benchmark_reports_the_rounds_that_are_judged(project: pytest.Pytester) -> None:
    run(project, "--perf-tiers", "twin", "--perf-only=latency", "--benchmark-json", "out.json")
    (entry,) = json.loads((project.path / "out.json").read_text())["benchmarks"]
    (result,) = latest(project).tiers
    assert result.measurement is not None
    samples = result.measurement.latency.samples_s
    assert entry["extra_info"]["tier"] == "twin"
    assert entry["extra_info"]["verdict"]["outcome"] == "recorded"
    assert entry["extra_info"]["environment"]["packages"]["torch"]
    theirs = entry["stats"]["data"]
    assert len(theirs) == len(samples)
    # Their clock runs around ours; what lies between is a call, or a busy machine's interruption.
    between = [their - own for their, own in zip(theirs, samples, strict=True)]
    assert min(between) > 0
    assert statistics.median(between) < 0.002


def test_settings_come_from_pyproject_and_the_command_line_wins(project: pytest.Pytester) -> None:
    project.makepyprojecttoml('[tool.perfsuite]\ntiers = ["fp32"]\nout = "elsewhere"\n')
    run(project, "--perf-only=latency")
    record = load_record(project.path / "elsewhere" / "runs" / "latest.json")
    assert [result.tier for result in record.tiers] == ["fp32"]
    run(project, "--perf-only=latency", "--perf-tiers", "twin")
    record = load_record(project.path / "elsewhere" / "runs" / "latest.json")
    assert [result.tier for result in record.tiers] == ["twin"]


def test_a_third_party_adds_a_tier_with_one_call(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makeconftest(
        """
        from perfsuite import Builder, Tier, change, register_tier

        @change(exact=True)
        def slice_attention(builder: Builder) -> None:
            "Attention in slices."
            builder.pipeline.enable_attention_slicing()

        register_tier(Tier("sliced", "fp32", (slice_attention,), why="less memory"))
        """
    )
    result = run(project, "--perf-tiers", "fp32,sliced", "-rs")
    result.assert_outcomes(passed=2, skipped=2, deselected=1)
    sliced = latest(project).result("sliced")
    assert sliced.measurement is not None
    assert worst_ssim(sliced) > 0.999


def test_a_tier_that_fails_fails_alone_and_the_record_says_why(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makeconftest(
        """
        from perfsuite import Builder, Tier, change, register_tier

        @change(exact=True)
        def burst(builder: Builder) -> None:
            "Never fits."
            raise MemoryError("out of memory: 80 GiB wanted")

        register_tier(Tier("huge", "fp32", (burst,), why="fails"))
        """
    )
    result = run(project, "--perf-tiers", "fp32,huge,twin", "--perf-only=latency")
    result.assert_outcomes(skipped=2, errors=1, deselected=4)
    record = latest(project)
    assert record.result("huge").error == "MemoryError: out of memory: 80 GiB wanted"
    assert record.result("twin").measurement is not None


def test_tiers_are_built_once_and_freed_before_the_next(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite import ladder
    from perfsuite.session import run as session_run

    events: list[str] = []
    build, close = ladder.build_tier, ladder.BuiltTier.close

    def noted_build(tier: ladder.Tier, *rest: object, **options: object) -> ladder.BuiltTier:
        events.append(f"build {tier.name}")
        return build(tier, *rest, **options)  # type: ignore[arg-type]

    def noted_close(built: ladder.BuiltTier) -> None:
        events.append(f"free {built.tier.name}")
        close(built)

    monkeypatch.setattr(session_run, "build_tier", noted_build)
    monkeypatch.setattr(ladder.BuiltTier, "close", noted_close)
    run(project, "--perf-tiers", "fp32,twin,third")
    assert events == [
        *("build fp32", "free fp32"),
        *("build twin", "free twin"),
        *("build third", "free third"),
    ]


def test_what_was_measured_survives_an_interrupt(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_setup(item):
            if item.name == "test_images[twin]":
                raise KeyboardInterrupt
        """
    )
    arguments = (*QUICK, "--perf-tiers", "fp32,twin")
    result = project.inline_run(*arguments, no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    record = latest(project)
    assert not record.complete
    assert record.result("fp32").verdict(Metric.IMAGES) is not None
    assert record.result("twin").measurement is not None
    assert record.result("twin").verdict(Metric.IMAGES) is None


def test_a_disk_that_fills_up_while_measuring_ends_with_one_line(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OutputError("cannot write x (No space left on device)", hint="free space")

    monkeypatch.setattr(Run, "finish", full)
    result = run(project, "--perf-tiers", "fp32", "--perf-only=latency")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["ERROR: cannot write x (No space left on device): free space"])


BAD_INPUT = {
    ("--perf-tiers", "fp32,warp"): "unknown tier 'warp': --perf-tiers takes fp32,bf16,*",
    ("--perf-checkpoint", "nowhere"): "unknown checkpoint 'nowhere'*local folder",
    ("--perf-device", "tpu"): "this machine has no 'tpu' device*--perf-device cpu*",
    ("--perf-tolerance", "0"): "--perf-tolerance cannot be '0'*such as 0.05",
    ("--perf-tolerance=-5%",): "--perf-tolerance cannot be '-5%'*such as 0.05",
    ("--perf-budget", "soon"): "--perf-budget cannot be 'soon'*",
    ("--perf-missing", "ignore"): "--perf-missing cannot be 'ignore'*record, once, skip, fail",
    ("--perf-missing", "fail"): "no baseline for *perfsuite record --runs 5*",
    ("--perf-out", "test_bad_input.py/x"): "cannot write *Not a directory*--perf-out*",
    ("--benchmark-disable",): "nothing is measured: leave out --benchmark-disable",
}


@pytest.mark.parametrize("arguments", BAD_INPUT, ids=" ".join)
def test_bad_input_is_one_line_before_any_weight_is_loaded(
    pytester: pytest.Pytester,
    quick: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    from perfsuite.checkpoints.folder import FolderSource

    def load(self: FolderSource, *rest: object) -> None:
        raise AssertionError("a weight was loaded")

    monkeypatch.setattr(FolderSource, "load", load)
    pytester.makepyfile(test_bad_input=TESTS)
    result = pytester.runpytest_inprocess(*QUICK, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {BAD_INPUT[arguments]}"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "*quick.json is not valid*"),
        (
            lambda text: text.replace(f'"schema": {SCHEMA}', '"schema": 99'),
            "*schema 99*upgrade perfsuite*",
        ),
        (lambda text: text.replace('"cpu-', '"gpu-', 1), "*was recorded for hardware gpu-*"),
        (lambda text: text.replace('"samples_s": [', '"samples_s": [-1.0,'), "*quick.json is not*"),
    ],
    ids=["truncated", "newer schema", "other hardware", "negative sample"],
)
def test_a_baseline_that_cannot_be_used_stops_the_run_and_is_left_alone(
    project: pytest.Pytester, damage: object, message: str
) -> None:
    arguments = ("--perf-tiers", "fp32", "--perf-only=latency")
    run(project, *arguments)
    path = baseline_path(project)
    damaged = damage(path.read_text())  # type: ignore[operator]
    path.write_text(damaged)
    result = run(project, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert path.read_text() == damaged


def test_a_missing_reference_image_stops_the_run(project: pytest.Pytester) -> None:
    run(project, "--perf-tiers", "fp32")
    (image,) = (project.path / ".perfsuite" / "references").glob("*/quick/*.png")
    image.unlink()
    result = run(project, "--perf-tiers", "fp32")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: reference *00.png cannot be read*record-references*"])


def test_a_missing_compiler_stops_the_run_only_for_compiled_tiers(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    result = run(project, "--perf-tiers", "fp32,compile")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: no C++ compiler ('no-such-compiler')*--perf-tiers fp32*"])
    assert run(project, "--perf-tiers", "fp32").ret == pytest.ExitCode.OK


def test_a_busy_machine_makes_the_verdict_invalid_and_records_no_baseline(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = FakeWatch(Conditions(busy_elsewhere=64.0))
    monkeypatch.setattr(sampling, "watch_for", lambda device: busy)
    result = run(project, "--perf-tiers", "fp32", "--perf-only=latency", "-rs")
    result.assert_outcomes(skipped=1, deselected=2)
    result.stdout.fnmatch_lines(["*other processes kept 64.0 of * cores busy*"])
    assert not (project.path / ".perfsuite" / "baselines").exists()
    assert busy.looks > 5


@pytest.mark.parametrize(
    ("ci", "code"),
    [(each, pytest.ExitCode.OK) for each in ("false", "False", "0", "no", "off", " ", "n")]
    + [(each, pytest.ExitCode.TESTS_FAILED) for each in ("true", "1", "woodpecker")],
)
def test_what_ci_says_decides_whether_a_missing_verdict_fails(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, code: pytest.ExitCode
) -> None:
    """Images are judged, or recorded; the latency is not, on a machine that is busy."""
    monkeypatch.setattr(
        sampling, "watch_for", lambda device: FakeWatch(Conditions(busy_elsewhere=64.0))
    )
    monkeypatch.setenv("CI", ci)
    result = run(project, "--perf-tiers", "fp32")
    assert result.ret == code
    result.stdout.fnmatch_lines(["* 1 skipped (invalid *1)"])


def test_strict_turns_inconclusive_into_a_failure(project: pytest.Pytester) -> None:
    arguments = ("--perf-tiers", "fp32", "--perf-only=latency")
    run(project, *arguments)
    run(project, *arguments, "-rs").assert_outcomes(skipped=1, deselected=2)
    result = run(project, *arguments, "--perf-strict")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*latency inconclusive: baseline * minimum detectable effect*"])
