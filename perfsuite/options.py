"""The table of options: what each is called, takes and means, on every command line and in TOML."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perfsuite.workload_options import (
    parse_count,
    parse_guidance,
    parse_prompt,
    parse_size,
    parse_workload_names,
)

LABEL_VARIABLE = "PERFSUITE_MACHINE_LABEL"
HISTORY_VARIABLE = "PERFSUITE_HISTORY"
NO_HISTORY = "off"


@dataclass(frozen=True)
class Option:
    """One row of the table.

    Attributes:
        name: `--perf-<name>` on the command line, `<name>` in pyproject.toml.
        parse: from the text of the command line, or from a TOML value, to the setting.
        default: the setting if nobody says anything.
        help: one line for people.
        metavar: the value's name in the help; None for a switch.
        bare: the value if the option is given without one; None if it needs one.
    """

    name: str
    parse: Callable[[Any], Any]
    default: Any
    help: str
    metavar: str | None
    bare: str | None = None


def _choice(*allowed: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"takes {', '.join(allowed)}")
        return str(value)

    return parse


def _names(value: Any) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)) or not all(isinstance(each, str) for each in listed):
        raise ValueError("takes names, separated by commas")
    names = tuple(name.strip() for name in listed if name.strip())
    if not names:
        raise ValueError("takes at least one name")
    return names


def _number_between(low: float, high: float, example: str) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        complaint = f"takes a number above {low:g} and up to {high:g}, such as {example}"
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(complaint) from None
        if isinstance(value, bool) or not low < number <= high:
            raise ValueError(complaint)
        return number

    return parse


def _duration(value: Any) -> float:
    """Seconds from a number of them, or from a number with `s`, `m` or `h`."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s?([smh]?)", str(value).strip())
    seconds = float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if isinstance(value, bool) or not seconds:
        raise ValueError("takes a time such as 90s, 30m or 2h")
    return seconds


def _whole_number(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[1-9]\d{0,3}", str(value)):
        raise ValueError("takes a whole number from 1")
    return int(value)


def _label(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise ValueError("takes letters, digits, dots, dashes and underscores")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("takes a name")
    return value.strip()


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("takes true or false")
    return value


OPTIONS = (
    Option("device", _text, "auto", "auto, cpu, cuda, … (auto)", "DEVICE"),
    Option(
        "checkpoint",
        _text,
        None,
        "pocket, pocket-ssd, sdxl, sdxl-fp16-vae, ssd-1b, sdxl-random, or a local folder "
        "(pocket on a CPU, sdxl on an accelerator)",
        "NAME",
    ),
    Option(
        "tiers",
        _names,
        None,
        "tiers to measure, e.g. fp32,bf16; all: methods too (the ladder)",
        "NAMES",
    ),
    Option(
        "baselines", _text, "baselines", "folder or URL of committed baselines (baselines)", "DIR"
    ),
    Option(
        "update",
        _choice("replace", "add"),
        None,
        "make this run the baseline (replace), or one more run of it (add)",
        "replace|add",
        bare="replace",
    ),
    Option(
        "missing",
        _choice("record", "once", "skip", "fail"),
        "record",
        "where this hardware has no baseline: record one under --perf-out, record one but never a "
        "second time (once), skip, or fail (record)",
        "record|once|skip|fail",
    ),
    Option(
        "tolerance",
        _number_between(0, 1, "0.05"),
        0.05,
        "slowdown that nobody minds, as a fraction (0.05)",
        "FRACTION",
    ),
    Option(
        "budget",
        _number_between(0, 86400, "30"),
        None,
        "seconds of sampling per tier (25, on an accelerator 60)",
        "S",
    ),
    Option(
        "out",
        _text,
        ".perfsuite",
        "folder or URL of run records and local baselines (.perfsuite)",
        "DIR",
    ),
    Option(
        "history",
        _text,
        None,
        "database of all runs: a file, postgresql://USER@HOST/NAME, or off "
        f"(history.sqlite under --perf-out; ${HISTORY_VARIABLE})",
        "URL",
    ),
    Option(
        "machine-label",
        _label,
        None,
        f"names the pool of machines, part of the hardware key (${LABEL_VARIABLE})",
        "LABEL",
    ),
    Option("threads", _whole_number, None, "CPU threads of torch (1 on a CPU)", "N"),
    Option(
        "strict",
        _switch,
        None,
        "inconclusive and invalid verdicts and missing baselines fail (on where $CI is true)",
        None,
    ),
    Option(
        "only",
        _choice("latency", "quality", "structure"),
        None,
        "leave out tests of the other kinds",
        "latency|quality|structure",
    ),
    Option(
        "exactness",
        _choice("reduced", "full"),
        "reduced",
        "size of the exactness stage's images where they are large: 512 pixels and 4 steps "
        "(reduced), or that of the quality workload (full)",
        "reduced|full",
    ),
    Option(
        "time-limit",
        _duration,
        None,
        "time for the whole session, e.g. 30m or 2h: the least important parts are left out",
        "TIME",
    ),
    Option(
        "profile",
        _switch,
        False,
        "write a chrome trace of one image of each timed tier, beside the run record",
        None,
    ),
    Option(
        "require-baseline",
        _switch,
        False,
        "in CI (where $CI is true) a missing baseline fails, before anything is measured",
        None,
    ),
    Option(
        "workload",
        parse_workload_names,
        None,
        "workloads to measure: default, or those of [tool.perfsuite.workloads.NAME] tables",
        "NAMES",
    ),
    Option("steps", parse_count, None, "denoising steps (the checkpoint's)", "N"),
    Option("guidance", parse_guidance, None, "classifier-free guidance (the checkpoint's)", "G"),
    Option("size", parse_size, None, "pixels, e.g. 1024x768 (the checkpoint's)", "WxH"),
    Option("batch", parse_count, None, "images per call that is timed (1)", "N"),
    Option("prompt", parse_prompt, None, "prompt that is timed (the checkpoint's)", "TEXT"),
    Option("report", _text, None, "page to write (runs/<run id>.html under --perf-out)", "FILE"),
    Option("markdown", _text, None, "Markdown of the results to write, for a comment", "FILE"),
)
