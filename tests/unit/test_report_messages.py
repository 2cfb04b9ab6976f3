"""Every reason has words, in one line, with its data in them."""

from __future__ import annotations

import typing

import msgspec
import pytest

from perfsuite.report.messages import say, say_all, threshold_name
from perfsuite.results import again_reasons as g
from perfsuite.results import condition_reasons as c
from perfsuite.results import method_reasons as m
from perfsuite.results import picture_reasons as p
from perfsuite.results import reasons as r
from perfsuite.results import structure_reasons as t
from perfsuite.results import support_reasons as s
from perfsuite.results.counters import Counted, GraphBreak, Recompile
from perfsuite.results.images import Change, Thresholds
from perfsuite.results.pictures import Comparison, Floor, FloorCheck, Quality
from perfsuite.results.stages import StageGrowth
from perfsuite.results.structure import CountDifference
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.workload import Asked

MISSED = p.ThresholdsMissed(
    Change.DAMAGE.value, (p.Missed("worst_ssim", 0.91234, 0.95),), "A fox", 7
)
BLURRED = FloorCheck(Floor(Quality.SHARPNESS, Comparison.RATIO, low=0.67), 0.4, (0.35, 0.45), 24)
BLACK = p.ImageFaults(("the image is black",), "A cat", 3)
# A sample of each, with what a reader has to find in its words.
SAMPLES: dict[r.Reason, tuple[str, ...]] = {
    r.Note("ValueError: no shape"): ("ValueError: no shape",),
    r.FasterThanBaseline(): ("--perf-update",),
    r.AssumedSpread(0.02): ("2%", "perfsuite record --runs 5"),
    r.SamplesScatter(120): ("--perf-budget 120",),
    r.ShortBaselineRuns(90): ("perfsuite record --perf-budget 90",),
    r.RunsDiffer(0.05): ("--perf-tolerance 0.1",),
    r.TooFewRuns(1, 9): ("one baseline run is too few", "--runs 9"),
    r.MorePairs(33.4, 120): ("33 more seconds", "--perf-budget 120"),
    r.RegressedTogether(): ("Holm",),
    r.NoBaseline("cpu-epyc"): ("cpu-epyc", "perfsuite record --runs 5"),
    r.BaselineLost("new", "old", "20261125T0000"): ("run 20261125T0000", "old", "new", "record"),
    r.BaselineLost("key", "key", "20261125T0000"): ("run 20261125T0000", "is gone", "record"),
    r.OutOfTime(1800.0, 900.0, 600.0): ("10.0 min", "15.0 of", "--perf-time-limit 30.0 min"),
    r.TierNotInBaseline("int8"): ("'int8'", "--perf-update"),
    r.Incomparable("probe", "v2", "v1"): ("probe v2", "v1", "--perf-update"),
    r.BaselineRecorded("baselines/x.json", added=False): ("new baseline in baselines/x.json",),
    r.FirstBaseline(): ("no baseline for this hardware yet", "is now its baseline"),
    c.CompiledWhileSampling(3, "treatment"): ("3 graphs", "by the treatment "),
    c.Throttled(("heat", "power")): ("throttled: heat, power",),
    c.SamplesDropped(3, 20, ("thermal",)): ("3 of 20 samples", "thermal slowdown"),
    c.RecordedWhileSampling(2): ("2 device graphs",),
    c.DeviceShared(2): ("2 other processes",),
    c.Swapping(): ("swapping",),
    c.Stolen(0.07): ("7%",),
    c.BusyElsewhere(1.26, 2): ("1.3 of 2 cores",),
    c.QuotaThrottled(2.25, 1.5): ("2.2 s", "(1.5 cores)"),
    p.NotCalibrated(0.931, 27.14, 0.0812): (
        "SSIM 0.9310",
        "PSNR 27.1 dB",
        "LPIPS 0.081",
        "perfsuite calibrate-quality",
    ),
    p.NoPictures("sdxl-random"): ("sdxl-random", "noise"),
    BLACK: ("the image is black", "'A cat', seed 3"),
    MISSED: ("damage", "worst SSIM 0.91234 below 0.95000", "'A fox', seed 7"),
    p.ReferenceTierChanged(MISSED, ("torch 2.13.0 (now 2.14.1)",)): (
        "all tiers share it",
        "torch 2.13.0 (now 2.14.1)",
        "worst SSIM 0.91234 below 0.95000",
        "perfsuite record-references",
    ),
    p.RoundingDiffers(57.34): ("57.3 dB",),
    p.FirstReferences(): ("no reference images yet",),
    p.ReferencesUnchecked(): ("not held against its own references",),
    p.NoPicture("No space left on device"): ("no picture: No space left on device",),
    p.LayersMissed("unet.a", 2, 0.05, 0.02, 1.013, 0.005): (
        "unet.a and 2 more",
        "0.0500 (at most 0.0200)",
        "1.0130 (1 ± 0.0050)",
    ),
    p.NothingChecked("quantised layers"): ("no quantised layers to check",),
    r.MemoryUnknown(): ("memory is not known",),
    r.CountChanged("graph breaks", 1, 4): ("graph breaks: 1 before, 4 now",),
    p.ControlAtFault(BLACK): ("control's own images", "the image is black"),
    p.AgainstControl(MISSED): ("against the control's", "worst SSIM 0.91234"),
    r.BlockUnfinished(): ("not finished",),
    r.TooFewStarts(): ("two starts",),
    r.NoStartMeasured("cold compile"): ("cold compile",),
    g.Bimodal(0.958, 0.986, 27.8): ("bimodal", "0.9580 and 0.9860", "27.8 dB", "the worse"),
    g.SameAgain(): ("the same image",),
    g.Unstable(31.0): ("two images", "31.0 dB"),
    g.NotMadeAgain("no room"): ("fresh process: no room",),
    m.FloorsMissed((BLURRED,)): ("sharpness 0.40x", "at least 0.67x"),
    m.FloorsOpen((BLURRED,)): ("from so few pictures", "sharpness"),
    m.ContentUnscored(("CLIP is not there",)): ("asked for", "CLIP is not there"),
    m.NotReproduced(31.2, 50.0, "A fox", 3): ("31.2 dB below 50.0 dB", "'A fox', seed 3"),
    m.OwnPicturesRecorded("refs/lcm"): ("kept in refs/lcm",),
    m.TooFewPairs(6, 24): ("6 pictures", "24 would do"),
    s.NeedsPackage("peft", "methods"): ("peft is not installed", "'perfsuite[methods]'"),
    s.NeedsHardware("sm_89 or newer"): ("needs sm_89 or newer",),
    s.NeedsLibrary("torch 2.13.0", "float8 products on a CPU"): ("torch 2.13.0 has no float8",),
    s.NeedsMemory(18_200_000_000, 15_800_000_000): ("18.2 GB", "15.8 GB", "--perf-size"),
    s.NoCounterpart("mine", "ssd-1b"): ("ssd-1b", "'mine'"),
    t.GraphBroken((GraphBreak("call to print", "unet.py:7 in forward"),)): (
        "1 graph break: call to print (unet.py:7 in forward)",
    ),
    t.CompiledAgain((Recompile("unet", "x.shape[0] == 2"),)): ("once: unet, since x.shape",),
    t.NotQuantised(("unet.a", "unet.b"), 5): ("2 of 5 layers", "unet.a, unet.b"),
    t.QuantisedUnasked(("unet.a",)): ("1 layer quantised", "unet.a"),
    t.AttentionSplit(("a", "b", "c", "d")): ("in 4 modules: a, b, c and 1 more",),
    t.OtherPrecision("bfloat16", (CountDifference("unet.a", "float32", 0, 2),)): (
        "not in bfloat16: float32 in unet.a",
    ),
    t.CountsDiffer(
        Counted.KERNELS, 10, 24, (CountDifference("vae", "cpp_fused", 1, 15),), 2, "vae"
    ): ("14 more kernels (10 before, 24 now), all in vae: +14 cpp_fused in vae and 2 more",),
    t.LessThanBaseline(): ("less is asked for", "--perf-update"),
    t.CountedElsewhere(("torch 2.13.0",), ("torch 2.14.1",)): ("torch 2.13.0, here is torch 2.14",),
    t.NoCounts("int8"): ("'int8'", "--perf-update"),
    t.NotCounted("no post_compile", "treatment"): ("the treatment's libraries", "post_compile"),
    t.StagesGrew((StageGrowth("VAE decode", 0.38, 0.9),)): ("VAE decode +38%, rest unchanged",),
}


def test_there_is_a_sample_of_every_reason() -> None:
    classes = set(typing.get_args(r.Reason))
    assert {type(each) for each in SAMPLES} == classes
    # No class is forgotten in the union itself.
    assert classes == set(p.CodedReason.__subclasses__())


@pytest.mark.parametrize("reason", SAMPLES, ids=lambda reason: type(reason).__name__)
def test_every_reason_has_words_with_its_data_in_one_line(reason: r.Reason) -> None:
    said = say(reason)
    assert "\n" not in said
    assert said == said.strip()
    for part in SAMPLES[reason]:
        assert part in said


@pytest.mark.parametrize("reason", SAMPLES, ids=lambda reason: type(reason).__name__)
def test_every_reason_is_stored_under_the_name_of_its_class(reason: r.Reason) -> None:
    verdict = Verdict(Metric.LATENCY, Outcome.PASSED, (reason,), notes=(reason,))
    stored = msgspec.json.encode(verdict)
    assert msgspec.to_builtins(verdict)["reasons"][0]["code"] == type(reason).__name__
    assert msgspec.json.decode(stored, type=Verdict) == verdict


def test_no_two_reasons_are_said_alike() -> None:
    assert len({say(reason) for reason in SAMPLES}) == len(SAMPLES)


def test_what_is_not_known_leaves_no_gap_in_the_sentence() -> None:
    assert say(c.CompiledWhileSampling(1)).startswith("1 graphs were compiled while sampling")
    assert "quota stopped this process" in say(c.QuotaThrottled(2.0))
    assert say(p.ImageFaults((), "A cat", 3)).startswith("the image cannot be compared for 'A cat'")
    assert "made with" not in say(p.ReferenceTierChanged(BLACK))
    assert " and 0 more" not in say(p.LayersMissed("a", 0, 1.0, 0.1, 1.0, 0.1))
    assert say(r.BaselineRecorded("x.json", added=True)) == "added to the runs in x.json"
    assert say(r.TooFewRuns(2, 9)).startswith("2 baseline runs are too few")


def test_several_reasons_are_one_line_in_their_order() -> None:
    assert say_all(()) == ""
    assert say_all((c.Swapping(), r.TooFewStarts())) == (
        "the machine was swapping: free memory, or measure a smaller checkpoint; "
        "fewer than two starts of both arms"
    )


def test_a_thresholds_name_is_that_of_its_field_in_words() -> None:
    numbers = [name for name, kind in Thresholds.__annotations__.items() if "float" in kind]
    assert [threshold_name(name) for name in numbers] == [
        "worst SSIM",
        "mean SSIM",
        "median SSIM",
        "worst PSNR dB",
        "mean PSNR dB",
        "median PSNR dB",
        "worst latent cosine",
    ]


@pytest.mark.parametrize(
    "reason",
    [
        r.AssumedSpread(0.02),
        r.ShortBaselineRuns(60),
        r.TooFewRuns(1, 7),
        r.NoBaseline("cpu-epyc"),
        r.BaselineLost("cpu-a", "cpu-b", "run-1"),
        p.ReferenceTierChanged(p.ImageFaults(("black",), "a cat", 0), ()),
    ],
)
def test_every_advised_command_names_what_was_asked_for(reason: r.Reason) -> None:
    asked = Asked("my model", (("steps", "4"), ("prompt", "a --word")))
    said = say(reason, asked=asked)
    references = isinstance(reason, p.ReferenceTierChanged)
    option = "" if references else "--perf-checkpoint "
    flag = "--" if references else "--perf-"
    assert f"{option}'my model' {flag}steps 4 {flag}prompt 'a --word'" in said
    assert "my model" not in say(reason)
