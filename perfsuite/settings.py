"""Options: one table for the command line and for `[tool.perfsuite]` of pyproject.toml.

The command line wins over pyproject.toml, which wins over the defaults.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfsuite.errors import SettingsError
from perfsuite.mirror import Mirror, is_url, mirror_folder
from perfsuite.options import (
    HISTORY_VARIABLE,
    LABEL_VARIABLE,
    NO_HISTORY,
    OPTIONS,
    Option,
    _label,
)
from perfsuite.workload import Overrides
from perfsuite.workload_options import (
    choose_workloads,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


HISTORY_FILE = "history.sqlite"
_OWN_TABLE = re.compile(r"^\s*\[tool\.perfsuite[\].]", re.MULTILINE)


def in_ci() -> bool:
    """Whether a CI system runs this: `$CI` is set to anything but a spelling of no."""
    value = os.environ.get("CI", "").strip().lower()
    return value not in ("", "0", "false", "no", "off", "n", "f")


def find_root(start: Path) -> Path:
    """The folder that settings, baselines and records belong to.

    The nearest folder from `start` up whose pyproject.toml has a `[tool.perfsuite]`, within the
    same repository; `start` itself if there is none.
    """
    for folder in (start, *start.parents):
        if _has_own_table(folder / "pyproject.toml"):
            return folder
        if (folder / ".git").exists():
            break
    return start


def _has_own_table(path: Path) -> bool:
    try:
        return bool(_OWN_TABLE.search(path.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return False


@dataclass(frozen=True)
class Settings:
    """What a run was asked to do; paths are absolute.

    Attributes:
        device: `auto`, `cpu`, or an accelerator's torch name.
        checkpoint: a registered name or a folder; None chooses by device.
        tiers: names; None for all that are registered.
        baselines: folder of committed baselines and references.
        update: None, `replace` or `add`: what this run does to the committed baseline.
        missing: `record`, `once`, `skip` or `fail`: what to do where there is no baseline.
        tolerance: slowdown that nobody minds, as a fraction.
        budget_s: seconds of sampling per tier; None for what suits the device.
        out: folder of run records and local baselines.
        machine_label: names the pool of machines.
        threads: CPU threads of torch; None for one on a CPU and torch's own choice beside an
            accelerator.
        strict: whether a verdict that is neither pass nor fail makes its test fail.
        only: None, `latency`, `quality` or `structure`: tests of the others are left out.
        history: the database of all runs, as the path of a file or as a URL; None to keep none.
        profile: whether one image of each timed tier is profiled.
        workloads: what is asked for instead of the checkpoint's own workloads, one for each row of
            the matrix.
        exactness: `reduced` or `full`: size of the exactness stage's images.
        time_limit_s: seconds for the whole session; None for as many as it needs.
        mirrors: folders among these that are copies of URLs, to be pulled before use and pushed
            after it.
        report: file of the page; None for one beside the record.
        markdown: file for the Markdown; None for none.
    """

    device: str
    checkpoint: str | None
    tiers: tuple[str, ...] | None
    baselines: Path
    update: str | None
    missing: str
    tolerance: float
    budget_s: float | None
    out: Path
    machine_label: str | None
    threads: int | None
    strict: bool
    only: str | None
    history: str | None = None
    profile: bool = False
    workloads: tuple[Overrides, ...] = (Overrides(),)
    exactness: str = "reduced"
    time_limit_s: float | None = None
    mirrors: tuple[Mirror, ...] = ()
    report: Path | None = None
    markdown: Path | None = None


def check_given(given: Mapping[str, Any], flag: str = "--perf-") -> None:
    """See that command-line values can be used, whatever pyproject.toml says.

    Args:
        given: values by option; None where not given.
        flag: what stands before an option's name on that command line.

    Raises:
        SettingsError: one cannot.
    """
    for each in OPTIONS:
        _resolve(each, given, {}, each.default, flag)


def resolve_settings(
    given: Mapping[str, Any],
    root: Path,
    defaults: Mapping[str, Any] | None = None,
    *,
    flag: str = "--perf-",
) -> Settings:
    """Settings from command-line values (None where not given) and `root/pyproject.toml`.

    Args:
        given: values by option; None where not given.
        root: folder that relative paths start from.
        defaults: by option, where a command's are not those of the table.
        flag: what stands before an option's name on that command line.

    Raises:
        SettingsError: a value cannot be used, or pyproject.toml has a key that does not exist.
    """
    table = _project_table(root / "pyproject.toml")
    own = {**{each.name: each.default for each in OPTIONS}, **(defaults or {})}
    values = {each.name: _resolve(each, given, table, own[each.name], flag) for each in OPTIONS}
    values["machine-label"] = values["machine-label"] or _label_from_environment()
    required = values.pop("require-baseline") and in_ci()
    return Settings(
        device=values["device"],
        checkpoint=values["checkpoint"],
        tiers=values["tiers"],
        baselines=_placed(values["baselines"], root),
        update=values["update"],
        missing="fail" if required else values["missing"],
        tolerance=values["tolerance"],
        budget_s=values["budget"],
        out=_placed(values["out"], root),
        machine_label=values["machine-label"],
        threads=values["threads"],
        strict=in_ci() if values["strict"] is None else values["strict"],
        only=values["only"],
        profile=values["profile"],
        history=_history(values["history"], _placed(values["out"], root), root),
        workloads=choose_workloads(values, table.get("workloads", {})),
        exactness=values["exactness"],
        time_limit_s=values["time-limit"],
        mirrors=tuple(
            Mirror(url, _placed(url, root))
            for url in dict.fromkeys((values["baselines"], values["out"]))
            if is_url(url)
        ),
        report=_placed(values["report"], root) if values["report"] else None,
        markdown=_placed(values["markdown"], root) if values["markdown"] else None,
    )


def _placed(folder: str, root: Path) -> Path:
    """A folder's absolute path; of a URL, that of its copy."""
    if is_url(folder):
        return mirror_folder(folder, root).resolve()
    return (root / os.path.expanduser(folder)).resolve()


def _history(asked: str | None, out: Path, root: Path) -> str | None:
    """The history's place: asked for, of the environment, or a file in the folder of records."""
    place = asked or os.environ.get(HISTORY_VARIABLE, "").strip()
    if not place:
        return str(out / HISTORY_FILE)
    if place == NO_HISTORY:
        return None
    return place if is_url(place) else str(_placed(place, root))


def _label_from_environment() -> str | None:
    value = os.environ.get(LABEL_VARIABLE)
    if not value:
        return None
    return str(_parsed(_label, value, f"${LABEL_VARIABLE}"))


def _resolve(
    option: Option, given: Mapping[str, Any], table: Mapping[str, Any], default: Any, flag: str
) -> Any:
    if given.get(option.name) is not None:
        return _parsed(option.parse, given[option.name], f"{flag}{option.name}")
    if option.name in table:
        where = f"[tool.perfsuite] {option.name} in pyproject.toml"
        return _parsed(option.parse, table[option.name], where)
    return default


def _parsed(parse: Callable[[Any], Any], value: Any, where: str) -> Any:
    try:
        return parse(value)
    except ValueError as error:
        raise SettingsError(f"{where} cannot be {value!r}", hint=f"it {error}") from None


def _project_table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        tools = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read ({error})", hint="fix its TOML") from None
    table = tools.get("perfsuite", {}) if isinstance(tools, dict) else None
    if not isinstance(table, dict):
        raise SettingsError(
            f"[tool.perfsuite] in {path} is not a table", hint="write one 'key = value' a line"
        )
    known = [*(option.name for option in OPTIONS), "workloads"]
    for key in table:
        if key not in known:
            raise SettingsError(
                f"[tool.perfsuite] in {path} has no key '{key}'",
                hint=f"it has {', '.join(known)}",
            )
    return dict(table)
