"""How a person chooses workloads: options, and `[tool.perfsuite.workloads.NAME]` tables.

Every parser takes the text of the command line or a TOML value, and raises `ValueError` with what
it takes; `perfsuite.settings` turns that into one line for people.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from perfsuite.errors import SettingsError
from perfsuite.workload import DEFAULT_WORKLOAD, Overrides

SMALLEST_PIXELS = 16
"""SSIM's window of 11 pixels has to fit; the next multiple of 8."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def parse_count(value: Any) -> int:
    """Denoising steps or images per call: 1 to 1000, the schedules' training steps."""
    if not re.fullmatch(r"[1-9][0-9]{0,3}", _number_text(value)) or int(value) > 1000:
        raise ValueError("takes a whole number from 1 to 1000")
    return int(value)


def parse_guidance(value: Any) -> float:
    """Classifier-free guidance; up to 1 there is none."""
    complaint = "takes a number from 0 to 100, such as 5"
    try:
        number = float(_number_text(value))
    except ValueError:
        raise ValueError(complaint) from None
    if not (math.isfinite(number) and 0 <= number <= 100):
        raise ValueError(complaint)
    return number


def parse_size(value: Any) -> tuple[int, int]:
    """Width and height in pixels, from `1024x768`."""
    text = value.strip() if isinstance(value, str) else ""
    found = re.fullmatch(r"([1-9][0-9]{0,3})[xX]([1-9][0-9]{0,3})", text)
    sides = (int(found[1]), int(found[2])) if found else (0, 0)
    if min(sides) < SMALLEST_PIXELS or any(side % 8 for side in sides):
        raise ValueError(
            f"takes WIDTHxHEIGHT in pixels, multiples of 8 from {SMALLEST_PIXELS}, such as 1024x768"
        )
    return sides


def parse_prompt(value: Any) -> tuple[str, ...]:
    """One prompt."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("takes a text")
    return (value,)


def parse_workload_names(value: Any) -> tuple[str, ...]:
    """Names of workloads, each once."""
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)) or not all(isinstance(each, str) for each in listed):
        raise ValueError("takes names, separated by commas")
    names = tuple(dict.fromkeys(name.strip() for name in listed if name.strip()))
    if not names:
        raise ValueError("takes at least one name")
    return names


def choose_workloads(values: Mapping[str, Any], tables: Any) -> tuple[Overrides, ...]:
    """Every workload that was asked for, with the options on top of each table.

    Args:
        values: parsed settings by the option's name.
        tables: `[tool.perfsuite.workloads]`, as TOML has it.

    Raises:
        SettingsError: a name has no table, or a table cannot be used.
    """
    known = _read_tables(tables)
    names = values["workload"] or (DEFAULT_WORKLOAD,)
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise SettingsError(
            f"unknown workload '{unknown}'",
            hint=f"--perf-workload takes {','.join(known)}, "
            "or add a [tool.perfsuite.workloads.NAME] table to pyproject.toml",
        )
    return tuple(_with_options(known[name], values) for name in names)


def _with_options(table: Overrides, values: Mapping[str, Any]) -> Overrides:
    options, fields = table.options, {}
    for name, (field, _, written) in _OPTIONS.items():
        if values[name] is not None:
            fields[field] = values[name]
            options += ((name, written(values[name])),)
    return replace(table, options=options, **fields)


def _read_tables(tables: Any) -> dict[str, Overrides]:
    where = "[tool.perfsuite.workloads] in pyproject.toml"
    if not isinstance(tables, Mapping):
        raise SettingsError(f"{where} is not a table", hint="write [tool.perfsuite.workloads.NAME]")
    read = {DEFAULT_WORKLOAD: Overrides()}
    for name, table in tables.items():
        if name == DEFAULT_WORKLOAD or not _NAME.fullmatch(name) or not isinstance(table, Mapping):
            raise SettingsError(
                f"{where} cannot have {name!r}",
                hint="it takes tables named by letters, digits, dots, dashes and underscores; "
                f"'{DEFAULT_WORKLOAD}' is the checkpoint's own workload",
            )
        read[name] = _read_table(name, table)
    return read


def _read_table(name: str, table: Mapping[str, Any]) -> Overrides:
    where = f"[tool.perfsuite.workloads.{name}] in pyproject.toml"
    fields: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _KEYS:
            raise SettingsError(f"{where} has no key '{key}'", hint=f"it has {', '.join(_KEYS)}")
        field, parse = _KEYS[key]
        try:
            parsed = parse(value)
        except ValueError as error:
            raise SettingsError(f"{where}: {key} cannot be {value!r}", hint=f"it {error}") from None
        if field in fields:
            raise SettingsError(f"{where} has prompt and prompts", hint="leave one of them out")
        fields[field] = parsed
    if not fields:
        raise SettingsError(f"{where} changes nothing", hint=f"it takes {', '.join(_KEYS)}")
    return Overrides(name, (("workload", name),), **fields)


def _number_text(value: Any) -> str:
    """A number of TOML or of the command line as text; nothing of other types."""
    return str(value) if isinstance(value, (int, float, str)) and value is not True else ""


def _list_of(kind: type, what: str, allowed: Callable[[Any], bool]) -> Callable[[Any], Any]:
    def parse(value: Any) -> tuple[Any, ...]:
        is_list = isinstance(value, (list, tuple)) and len(value) > 0
        if not is_list or not all(type(each) is kind and allowed(each) for each in value):
            raise ValueError(f"takes a list of {what}")
        if len(set(value)) < len(value):
            raise ValueError(f"takes different {what}")
        return tuple(value)

    return parse


def _size_text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


_OPTIONS: dict[str, tuple[str, Callable[[Any], Any], Callable[[Any], str]]] = {
    "prompt": ("prompts", parse_prompt, lambda prompts: str(prompts[0])),
    "steps": ("steps", parse_count, str),
    "guidance": ("guidance_scale", parse_guidance, lambda scale: f"{scale:g}"),
    "size": ("size", parse_size, _size_text),
    "batch": ("batch_size", parse_count, str),
}
"""By the option's name: the field that it fills, its parser, and how it is written again."""
_KEYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    **{name: (field, parse) for name, (field, parse, _) in _OPTIONS.items()},
    "prompts": ("prompts", _list_of(str, "texts", lambda text: bool(text.strip()))),
    "seeds": ("seeds", _list_of(int, "whole numbers from 0", lambda seed: 0 <= seed < 2**32)),
}
"""Keys of a workload's table."""
