"""A page as HTML: Jinja2 with everything escaped, one file that needs nothing else."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from perfsuite.page.build import Page, build_page
from perfsuite.page.ladder import SHADES
from perfsuite.report import colours, numbers
from perfsuite.report.messages import say_all, say_check
from perfsuite.results.verdict import Outcome
from perfsuite.storage import write_whole

_ICONS = {
    Outcome.NOT_SUPPORTED: "-",
    Outcome.PASSED: "✓",
    Outcome.RECORDED: "✓",
    Outcome.IMPROVED: "▼",
    Outcome.NOT_MEASURED: "?",
    Outcome.NOT_CALIBRATED: "?",
    Outcome.NO_BASELINE: "?",
    Outcome.INCONCLUSIVE: "?",
    Outcome.INVALID: "!",
    Outcome.REGRESSED: "▲",
}
"""A second sign beside the colour, for those who do not tell colours apart."""


def write_page(records: Sequence[Path], target: Path, history: str | None = None) -> Page:
    """Write the page of some records; what is on it.

    Args:
        records: files.
        target: the page.
        history: place of the history that trends are completed from; None for none.

    Raises:
        OutputError: the file cannot be written.
    """
    page = build_page(records, history)
    write_whole(target, render_page(page).encode(errors="replace"))
    return page


def render_page(page: Page) -> str:
    """A page as one HTML document."""
    names = list(page.colours)
    text: str = _environment().get_template("page.html").render(page=page, names=names)
    return text


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("perfsuite.page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(_FILTERS)
    environment.globals.update(
        OUTCOMES=colours.OUTCOMES,
        asset=functools.partial(_asset, environment),
        tick=_tick,
        shades=SHADES,
        seconds=numbers.format_seconds,
    )
    return environment


def _asset(environment: jinja2.Environment, name: str) -> str:
    """Style and script: files of this package, which stand in the page as they are."""
    loader = environment.loader
    assert loader is not None
    return loader.get_source(environment, name)[0]


def _css(value: object) -> str:
    """A name as a part of a CSS class or an id: letters, digits and dashes."""
    return "".join(each if each.isascii() and each.isalnum() else "-" for each in str(value))


def _icon(outcome: Outcome | None) -> str:
    return "·" if outcome is None else _ICONS[outcome]


def _tick(value: float) -> str:
    """A mark of an axis of changes."""
    return "0" if abs(value) < 1e-12 else f"{100 * value:+.3g}%".replace("-", "\u2212")


def _moment(iso: str) -> str:
    """A time in UTC to the minute."""
    return iso.replace("T", " ")[:16] + " UTC"


_FILTERS: dict[str, Callable[..., Any]] = {
    "seconds": numbers.format_seconds,
    "bytes": numbers.format_bytes,
    "change": numbers.format_change,
    "median": numbers.format_median,
    "signed": numbers.format_signed,
    "value": lambda value, metric: numbers.format_value(metric, value),
    "css": _css,
    "icon": _icon,
    "percent": numbers.format_percent,
    "tick": _tick,
    "moment": _moment,
    "say_all": say_all,
    "say_check": say_check,
}
