"""The wording of reasons and verdicts: the one place where a reason becomes a sentence."""

from __future__ import annotations

from collections.abc import Iterable

from perfsuite.report.method_messages import say_compared, say_method, say_support
from perfsuite.report.numbers import format_value
from perfsuite.report.structure_messages import say_structure
from perfsuite.results import condition_reasons as c
from perfsuite.results import picture_reasons as p
from perfsuite.results import reasons as r
from perfsuite.results.images import ThresholdCheck
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.workload import NOTHING_ASKED, Asked

PYTEST, COMMAND = "--perf-", "--"
"""What stands before an option's name, for pytest and for a command of perfsuite's own."""
_OPTION = "--?"
"""Stands for either in the sentences below."""


def say(reason: r.Reason, flag: str = PYTEST, asked: Asked = NOTHING_ASKED) -> str:
    """A reason in one line.

    Args:
        reason: what to say.
        flag: what stands before an option's name at the door that the reader came through.
        asked: what a command that is advised has to name.
    """
    said = _of_baselines(reason, asked)
    if said is None:
        said = _of_pictures(reason, asked)
    for words in (_of_conditions, say_method, _of_gates, say_support, say_structure):
        said = words(reason) if said is None else said
    if said is not None:
        return said.replace(_OPTION, flag)
    raise AssertionError(f"a reason without words: {reason!r}")


def say_all(reasons: Iterable[r.Reason], flag: str = PYTEST, asked: Asked = NOTHING_ASKED) -> str:
    """Reasons in one line."""
    return "; ".join(say(each, flag, asked) for each in reasons)


def say_check(check: ThresholdCheck | p.Missed) -> str:
    """A threshold with what was found: 'worst SSIM 0.99712 below 0.99900'."""
    form = ".1f" if check.metric.endswith("_db") else ".5f"
    sign = ">=" if check.value >= check.threshold else "below"
    return f"{threshold_name(check.metric)} {check.value:{form}} {sign} {check.threshold:{form}}"


def threshold_name(metric: str) -> str:
    """Name of a field of `Thresholds` for people: 'worst SSIM'."""
    words = {"ssim": "SSIM", "psnr": "PSNR", "db": "dB"}
    return " ".join(words.get(word, word) for word in metric.split("_"))


def _of_baselines(reason: r.Reason, asked: Asked) -> str | None:
    match reason:
        case r.Note(text):
            return text
        case r.FasterThanBaseline():
            return "faster beyond doubt: make it the baseline with --?update"
        case r.AssumedSpread(spread):
            return (
                f"the baseline is one run, so the spread between runs is assumed ({spread:.0%}): "
                f"{asked.recording()} measures it"
            )
        case r.SamplesScatter(budget_s):
            return f"samples scatter: --?budget {budget_s} would settle it"
        case r.ShortBaselineRuns(budget_s):
            again = asked.recording(f"--perf-budget {budget_s}")
            return f"the recorded runs are short: {again}"
        case r.TooFewRuns(runs, needed):
            few = "one baseline run is" if runs == 1 else f"{runs} baseline runs are"
            return f"{few} too few to settle it: {asked.recording(f'--runs {needed}')}"
        case r.RegressedTogether():
            return "regressed in the light of the session's other regressions (Holm)"
        case r.NoBaseline(hardware_key):
            return f"no baseline for {hardware_key}: {asked.recording()}"
        case r.BaselineLost(here, recorded, run_id):
            other = "" if here == recorded else f" was of {recorded}, this is {here}:"
            return (
                f"the baseline that run {run_id} recorded{other or ' is gone:'} "
                f"restore it, or {asked.recording()}"
            )
        case r.TierNotInBaseline(tier):
            return f"the baseline has no tier '{tier}': add it with --?update"
        case r.Incomparable(what, here, recorded):
            return (
                f"{what} {here} does not compare with the baseline's {recorded}: "
                "record anew with --?update"
            )
        case r.BaselineRecorded(path, added):
            return f"added to the runs in {path}" if added else f"is the new baseline in {path}"
        case r.FirstBaseline():
            return "no baseline for this hardware yet: this run is now its baseline"
    return None


def _of_conditions(reason: r.Reason) -> str | None:
    match reason:
        case r.OutOfTime(limit_s, elapsed_s, needed_s):
            return (
                f"no time: about {needed_s / 60:.1f} min, {elapsed_s / 60:.1f} of "
                f"--?time-limit {limit_s / 60:.1f} min were gone and more important parts to come"
            )
        case c.CompiledWhileSampling(graphs, arm):
            who = f"by the {arm} " if arm else ""
            return (
                f"{graphs} graphs were compiled {who}while sampling: "
                "something changes shape between images"
            )
        case c.Throttled(causes):
            return f"the device was throttled: {', '.join(causes)}"
        case c.SamplesDropped(dropped, taken, causes):
            return f"{dropped} of {taken} samples left out: {', '.join(causes)} slowdown meanwhile"
        case c.RecordedWhileSampling(graphs):
            return (
                f"{graphs} device graphs were recorded while sampling: something moves in memory "
                "between images"
            )
        case c.DeviceShared(processes):
            return f"{processes} other processes used the device"
        case c.Swapping():
            return "the machine was swapping: free memory, or measure a smaller checkpoint"
        case c.Stolen(share):
            return f"the hypervisor gave {share:.0%} of this machine's time to others"
        case c.BusyElsewhere(busy, cores):
            return (
                f"other processes kept {busy:.1f} of {cores} cores busy: measure when it is quiet"
            )
        case c.QuotaThrottled(throttled_s, quota):
            allowed = "" if quota is None else f" ({quota:g} cores)"
            return (
                f"the container's CPU quota{allowed} stopped this process for {throttled_s:.1f} s: "
                "raise the quota"
            )
        case r.MemoryUnknown():
            return "peak memory is not known here"
    return None


def _of_pictures(reason: r.Reason, asked: Asked) -> str | None:
    match reason:
        case p.ImageFaults(faults, prompt, seed):
            what = "; ".join(faults) or "the image cannot be compared"
            return f"{what} for '{prompt}', seed {seed}"
        case p.ThresholdsMissed(change, missed, prompt, seed):
            said = ", ".join(say_check(each) for each in missed)
            return f"{change}: {said}; worst '{prompt}', seed {seed}"
        case p.ReferenceTierChanged(found, versions):
            made = f"; the references were made with {', '.join(versions)}" if versions else ""
            return (
                f"all tiers share it: a library or the checkpoint changed{made}; fp32 itself has "
                f"{say(found)}; if that is wanted: {asked.command('record-references')}"
            )
        case p.RoundingDiffers(psnr_db):
            return (
                f"fp32 makes its references but for rounding ({psnr_db:.1f} dB): "
                "another CPU or version"
            )
        case p.FirstReferences():
            return "no reference images yet: these are the references from now on"
        case p.ReferencesUnchecked():
            return "fp32 was not held against its own references in this run"
        case p.NoPicture(problem):
            return f"no picture: {problem}"
        case p.LayersMissed():
            more = f" and {reason.others} more" if reason.others else ""
            if reason.relative_error is None:
                return (
                    f"layer {reason.layer}{more}: its outputs are not finite, or it had no inputs"
                )
            return (
                f"layer {reason.layer}{more}: relative error {reason.relative_error:.4f} "
                f"(at most {reason.most_relative_error:.4f}), gain {reason.gain:.4f} "
                f"(1 ± {reason.most_gain_error:.4f})"
            )
        case p.NotCalibrated(ssim, psnr_db, lpips):
            told = [f"worst SSIM {ssim:.4f}"]
            told += [] if psnr_db is None else [f"PSNR {psnr_db:.1f} dB"]
            told += [] if lpips is None else [f"LPIPS {lpips:.3f}"]
            return (
                f"nothing is wrong at sight ({', '.join(told)}); perfsuite calibrate-quality "
                "measures what healthy images of this checkpoint, size and device reach"
            )
        case p.NoPictures(checkpoint):
            return f"images of {checkpoint} are noise: there is nothing to score"
        case p.NothingChecked(what):
            return f"there were no {what} to check: the check itself is broken"
    return None


def _of_gates(reason: r.Reason) -> str | None:
    match reason:
        case r.RunsDiffer(tolerance, what):
            wider = 2 * tolerance
            return f"{what} differ too much here for this tolerance: try --?tolerance {wider:.2g}"
        case r.MorePairs(more_s, budget_s):
            return (
                f"about {more_s:.0f} more seconds of sampling would settle it: --?budget {budget_s}"
            )
        case r.CountChanged(what, before, now):
            return f"{what}: {before} before, {now} now"
        case p.ControlAtFault(found):
            return f"the control's own images are at fault: {say(found)}"
        case p.AgainstControl(found):
            return f"images against the control's: {say(found)}"
        case r.BlockUnfinished():
            return "the block was not finished"
        case r.TooFewStarts():
            return "fewer than two starts of both arms"
        case r.NoStartMeasured(what):
            return f"no start gave a {what} to judge"
    return None


def describe(verdict: Verdict, records: str = "", asked: Asked = NOTHING_ASKED) -> str:
    """A verdict in one or a few lines, for assertion messages and reasons for skipping.

    Args:
        verdict: what to describe.
        records: folder that the paths of pictures start from; it ends with a slash.
        asked: what a command that is advised has to name.
    """
    if verdict.metric.is_of_pictures:
        lines = [_headline(verdict, asked), *_evidence(verdict, records)]
    else:
        lines = [_headline(verdict, asked) if verdict.change is None else _latency(verdict, asked)]
    return "\n".join([*lines, *(say(note, asked=asked) for note in verdict.notes)])


def _headline(verdict: Verdict, asked: Asked) -> str:
    said = say_all(verdict.reasons, asked=asked)
    name = _NAMES.get(verdict.metric, verdict.metric.value)
    return f"{name} {verdict.outcome.value}" + (f": {said}" if said else "")


_NAMES = {Metric.LAYERS: "quantised layers", Metric.EXACTNESS: "images (exactness)"}


def _latency(verdict: Verdict, asked: Asked) -> str:
    """Baseline, measured, interval and tolerance, with the reasons if there are any."""
    low, high = verdict.change_interval or (0.0, 0.0)
    basis = verdict.basis.value if verdict.basis is not None else verdict.metric.value
    parts = [
        f"baseline {format_value(verdict.metric, verdict.expected)}",
        f"measured {format_value(verdict.metric, verdict.measured)}",
        f"change {verdict.change:+.1%} of {basis} (95 % interval {low:+.1%} to {high:+.1%})",
    ]
    if verdict.tolerance is not None:
        parts.append(f"tolerance {verdict.tolerance:.1%}")
    if verdict.minimum_detectable_effect is not None:
        parts.append(f"minimum detectable effect {verdict.minimum_detectable_effect:.1%}")
    said = say_all(verdict.reasons, asked=asked)
    head = f"{verdict.metric.value} {verdict.outcome.value}: {', '.join(parts)}"
    return f"{head}; {said}" if said else head


def _evidence(verdict: Verdict, records: str) -> list[str]:
    """Scores with their thresholds, and pictures."""
    lines = []
    if verdict.images is not None:
        said = ", ".join(say_check(check) for check in verdict.images.checks)
        lines += [f"scores: {said} ({verdict.images.thresholds.source})"] if said else []
        lines += [f"picture: {records}{path}" for path in verdict.images.pictures]
    if verdict.compared is not None:
        lines.append(say_compared(verdict.compared))
        lines += [f"picture: {records}{path}" for path in verdict.compared.pictures]
    layers = verdict.layers
    if layers is not None and layers.scores and verdict.outcome is Outcome.PASSED:
        worst = layers.scores[0]
        lines.append(
            f"worst of {len(layers.scores)} is {worst.layer}, relative error "
            f"{worst.relative_error:.4f}, at most {layers.thresholds.relative_error:.4f} "
            f"({layers.thresholds.source})"
        )
    return lines
