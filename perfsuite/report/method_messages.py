"""The words of reasons about methods: their pictures, and what they need; see `messages`."""

from __future__ import annotations

from collections.abc import Callable

from perfsuite.results import again_reasons as g
from perfsuite.results import method_reasons as m
from perfsuite.results import reasons as r
from perfsuite.results import support_reasons as s
from perfsuite.results.pictures import Comparison, FloorCheck, PictureEvidence


def say_method(reason: r.Reason) -> str | None:
    """A reason about pictures of methods, or about an image made again; None of others."""
    match reason:
        case g.Bimodal(ssim, again, between_db):
            both = " and ".join("none" if each is None else f"{each:.4f}" for each in (ssim, again))
            return (
                f"bimodal: a fresh process makes another image, and makes it again (SSIM {both}, "
                f"{between_db:.1f} dB between them); judged by the worse"
            )
        case g.SameAgain():
            return "a fresh process makes the same image"
        case g.Unstable(between_db):
            return f"one process makes two images of it ({between_db:.1f} dB between them)"
        case g.NotMadeAgain(problem):
            return f"not made once more in a fresh process: {problem}"
        case m.FloorsMissed(checks):
            return f"not as good: {', '.join(say_floor(each) for each in checks)}"
        case m.FloorsOpen(checks):
            said = ", ".join(say_floor(each) for each in checks)
            return f"cannot be told from so few pictures: {said}: make more of them"
        case m.ContentUnscored(unavailable):
            why = "; ".join(unavailable) or "the prompts name nothing that it knows"
            return f"nothing scores whether pictures show what was asked for: {why}"
        case m.NotReproduced(psnr_db, at_least_db, prompt, seed):
            return (
                f"the method does not make its own pictures again: {psnr_db:.1f} dB below "
                f"{at_least_db:.1f} dB for '{prompt}', seed {seed}"
            )
        case m.OwnPicturesRecorded(folder):
            return f"its pictures are kept in {folder}; later sessions have to make them again"
        case m.TooFewPairs(pairs, needed):
            return f"{pairs} pictures are too few to judge a method by: {needed} would do"
    return None


def say_support(reason: r.Reason) -> str | None:
    """Why a tier is not supported; None of other reasons."""
    match reason:
        case s.NeedsPackage(package, extra):
            mend = f"'perfsuite[{extra}]'" if extra else package
            return f"{package} is not installed: pip install {mend}"
        case s.NeedsHardware(needed):
            return f"it needs {needed}"
        case s.NeedsLibrary(library, lacks):
            return f"{library} has no {lacks}"
        case s.NeedsMemory(needed_bytes, free_bytes):
            return (
                f"it is planned to need {needed_bytes / 1e9:.1f} GB of memory; on the device "
                f"{free_bytes / 1e9:.1f} GB are free: --?size and --?batch make it smaller"
            )
        case s.NoCounterpart(checkpoint, method):
            return f"no weights for {method} are known of checkpoint '{checkpoint}'"
    return None


def say_floor(check: FloorCheck) -> str:
    """What was found in one quality: 'sharpness 0.93x (0.90 to 0.97)', with what is asked."""
    floor, (low, high) = check.floor, check.interval
    form: Callable[[float], str] = {
        Comparison.SHARE: lambda value: f"{value:.0%}",
        Comparison.RATIO: lambda value: f"{value:.2f}x",
        Comparison.DIFFERENCE: lambda value: f"{value:+.2f}",
    }[floor.comparison]
    bounds = [f"at least {form(floor.low)}"] if floor.low is not None else []
    bounds += [f"at most {form(floor.high)}"] if floor.high is not None else []
    asked = "" if check.holds else f", asked for {' and '.join(bounds)}"
    return f"{floor.quality.value} {form(check.value)} ({form(low)} to {form(high)}{asked})"


def say_compared(evidence: PictureEvidence) -> str:
    """All qualities of a method's pictures in one line."""
    said = ", ".join(say_floor(check) for check in evidence.checks)
    return f"pictures beside {evidence.reference}'s, {len(evidence.scores)} pairs: {said}"
