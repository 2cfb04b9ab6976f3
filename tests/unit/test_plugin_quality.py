"""The quality gate in whole pytest sessions, on the real pocket pipeline with two steps."""

from __future__ import annotations

import re

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.ladder import table
from perfsuite.results.session import RunRecord, load_record
from perfsuite.results.verdict import Metric, Outcome

TESTS = """
    import pytest

    @pytest.mark.perf
    def test_exactness(perf_exactness_verdict, perf_enforce):
        perf_enforce(perf_exactness_verdict)

    @pytest.mark.perf
    def test_images(perf_quality_verdict, perf_enforce):
        perf_enforce(perf_quality_verdict)

    @pytest.mark.perf
    def test_layers(perf_layers_verdict, perf_enforce):
        perf_enforce(perf_layers_verdict)
"""
# A tier whose author believes that it changes nothing.
FAULTY = """
    from perfsuite import Tier, change, register_tier
    from perfsuite.selftest.quality.damage import skip_step

    @change(exact=True)
    def hasty(builder):
        '''Leave out the last step.'''
        builder.set_for_this_tier(skip_step(-1)(builder.pipeline))

    register_tier(Tier("hasty", "fp32", (hasty,), "one step less", min_ssim=-1.0))
"""


@pytest.fixture
def project(
    pytester: pytest.Pytester, quick: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    monkeypatch.setattr(table, "_TIERS", dict(table._TIERS))
    pytester.makepyfile(TESTS)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_inprocess("-m", "perf", "--perf-checkpoint", "quick", *arguments)


def latest(project: pytest.Pytester) -> RunRecord:
    return load_record(project.path / ".perfsuite" / "runs" / "latest.json")


def test_each_check_runs_for_the_tiers_that_it_is_for(project: pytest.Pytester) -> None:
    result = run(project, "--collect-only", "-q")
    named = re.findall(r"test_(\w+)\[([\w-]+)\]", result.stdout.str())
    assert {tier for check, tier in named if check == "layers"} == {"int8"}
    exact = {"sdpa", "compile", "fused-qkv", "int8"}
    assert {tier for check, tier in named if check == "exactness"} == exact
    assert len([tier for check, tier in named if check == "images"]) == 6


def test_a_fault_fails_with_scores_thresholds_and_a_picture(project: pytest.Pytester) -> None:
    project.makeconftest(FAULTY)
    result = run(project, "--perf-tiers", "fp32,hasty")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said = result.stdout.str()
    assert re.search(r"worst PSNR dB \d+\.\d below 80\.0", said)
    picture = re.search(r"picture: (\S+\.png)", said)
    assert picture is not None
    drawn = project.path / picture[1]
    assert drawn.read_bytes().startswith(b"\x89PNG")
    verdict = latest(project).result("hasty").verdict(Metric.EXACTNESS)
    assert verdict is not None
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.images is not None
    (kept,) = verdict.images.pictures
    assert f".perfsuite/runs/{kept}" == picture[1]


def test_what_the_lossy_stage_lets_through_the_exactness_stage_does_not(
    project: pytest.Pytester,
) -> None:
    project.makeconftest(FAULTY)
    run(project, "--perf-tiers", "fp32,hasty")
    result = latest(project).result("hasty")
    images = result.verdict(Metric.IMAGES)
    assert images is not None
    assert images.outcome is Outcome.PASSED
    assert result.overall is Outcome.REGRESSED


def test_a_sound_tier_passes_what_can_be_judged_of_it(project: pytest.Pytester) -> None:
    result = run(project, "--perf-tiers", "fp32,sdpa")
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["skipped"]) == (2, 1)  # images of bfloat16: not calibrated
    found = latest(project).result("sdpa")
    assert found.verdict(Metric.EXACTNESS) is not None
    images = found.verdict(Metric.IMAGES)
    assert images is not None
    assert images.images is not None
    assert images.outcome is Outcome.NOT_CALIBRATED
    assert images.images.thresholds.ask_nothing


def test_damaged_thresholds_stop_the_run_before_any_weight_is_loaded(
    project: pytest.Pytester,
) -> None:
    run(project, "--perf-tiers", "fp32")
    key = next((project.path / ".perfsuite" / "references").iterdir()).name
    path = project.path / "baselines" / key / "quality" / "quick.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"schema": 1, "checkpoint": "quick"')
    result = run(project, "--perf-tiers", "fp32")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*quick.json is not valid*perfsuite calibrate-quality quick*"])


SWAPPED = """
    import pytest
    from perfsuite.selftest.quality.damage import swap_red_and_blue
    from perfsuite.session import run

    # As a release of diffusers would do it: whatever is built decodes blue as red.
    build = run.Run.build

    @pytest.fixture(autouse=True, scope="session")
    def bad_release():
        def built(self, *rest, **options):
            tier = build(self, *rest, **options)
            tier._undo.enter_context(swap_red_and_blue(tier.pipeline))
            return tier
        run.Run.build = built
        yield
        run.Run.build = build
"""


def test_damage_that_all_tiers_share_is_damage(project: pytest.Pytester) -> None:
    from perfsuite import ladder

    twin = ladder.Tier("twin", "fp32", (), "fp32 again", min_ssim=0.99)
    ladder.register_tier(twin)
    asked = ("--perf-tiers", "fp32,twin", "--perf-only", "quality")
    run(project, *asked).assert_outcomes(passed=2)
    project.makeconftest(SWAPPED)
    result = run(project, *asked)
    result.assert_outcomes(failed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["fp32 * image worse", "twin * image worse"])
    result.stdout.fnmatch_lines(
        ["*all tiers share it: a library or the checkpoint changed*record-references*"]
    )
    result.stdout.fnmatch_lines(["2 judged, 0 recorded, 0 skipped"])
    for tier in latest(project).tiers:
        verdict = tier.verdict(Metric.IMAGES)
        assert verdict is not None
        assert verdict.images is not None
        (picture,) = verdict.images.pictures
        assert (project.path / ".perfsuite" / "runs" / picture).is_file()
