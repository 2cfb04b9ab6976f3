"""Files of older schemas, brought up to today's: records, baselines and thresholds stay readable.

Each function takes a decoded JSON document of one schema and returns that of the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]
Step = Callable[[Document], Document]

_RENAMED = {
    "control_s": "probe_s",
    "smallest_visible": "minimum_detectable_effect",
    "level": "alpha",
    "family": "multiplicity",
    "bars": "thresholds",
    "layer_bars": "layer_thresholds",
    "bar": "threshold",
    "side": "arm",
}
"""Keys that schema 1 had under another name, wherever they stand."""


def in_todays_words(document: Document) -> Document:
    """Schema 1 to 2: the field's words instead of the project's own."""
    renamed: Document = _renamed(document)
    return renamed | {"schema": 2}


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(each) for each in value]
    if not isinstance(value, dict):
        return "tier / probe" if value == "tier / control" else value
    today = {_RENAMED.get(key, key): _renamed(each) for key, each in value.items()}
    if "probe_s" in today and "samples_s" in today and "control" in today:
        today["probe"] = today.pop("control")
    return today


SCHEMA = 2
"""Of session records, gates, bisections, baselines and thresholds."""
_STEPS: dict[int, Step] = {1: in_todays_words}
"""By the schema that they start from."""


def migrated(document: Document) -> Document:
    """A document at today's schema, from one of an older."""
    while document["schema"] < SCHEMA:
        document = _STEPS[document["schema"]](document)
    return document
