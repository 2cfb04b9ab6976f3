"""Files of older schemas, brought up to today's: records, baselines and thresholds stay readable.

A step takes a decoded JSON document of one schema and returns that of the next. Schema 1 had the
project's own words, and four kinds of verdicts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]

SCHEMA = 2
"""Of session records, gates, bisections, baselines and thresholds."""
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
_OF_A_SESSION = {
    "latency": "latency",
    "quality": "images",
    "exactness": "exactness",
    "layers": "layers",
}
"""Fields of a tier's result in schema 1 that held a verdict, with the verdict's metric today."""
_OF_A_GATE = ("control_images", "treatment_images", "same_images")


def migrated(document: Document) -> Document:
    """A document at today's schema, from one of an older."""
    while document["schema"] < SCHEMA:
        document = _STEPS[document["schema"]](document)
    return document


def _to_one_verdict_type(document: Document) -> Document:
    """Schema 1 to 2."""
    today: Document = _renamed(document)
    if isinstance(today.get("tiers"), list):
        today["tiers"] = [_tier(each) for each in today["tiers"]]
    for trial in (*today.get("trials", ()), *filter(None, (today.get("final"),))):
        if trial.get("verdict"):
            trial["verdict"] = _metric_verdict(trial["verdict"])
    return today | {"schema": 2}


_STEPS: dict[int, Callable[[Document], Document]] = {1: _to_one_verdict_type}
"""By the schema that they start from."""


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(each) for each in value]
    if not isinstance(value, dict):
        return "tier / probe" if value == "tier / control" else value
    today = {_RENAMED.get(key, key): _renamed(each) for key, each in value.items()}
    if "probe_s" in today and "samples_s" in today and "control" in today:
        today["probe"] = today.pop("control")
    return today


def _tier(tier: Document) -> Document:
    """A tier's result of a session or of a gate."""
    if "blocks" in tier:
        blocks = [each | {"spoilt": _note(each.get("spoilt"))} for each in tier["blocks"]]
        verdicts = [_metric_verdict(each) for each in tier.get("verdicts", ())]
        images = {name: _image_verdict(tier.get(name), "images") for name in _OF_A_GATE}
        return tier | {"blocks": blocks, "verdicts": verdicts} | images
    held = {name: tier.pop(name, None) for name in _OF_A_SESSION}
    verdicts = [_of_session(name, verdict) for name, verdict in held.items() if verdict]
    return tier | {"verdicts": verdicts}


def _of_session(name: str, verdict: Document) -> Document:
    metric = _OF_A_SESSION[name]
    if name == "layers":
        worst = verdict["scores"][0]["relative_error"] if verdict["scores"] else None
        evidence = {"thresholds": verdict["thresholds"], "scores": verdict["scores"]}
        return _verdict(metric, verdict) | {"measured": worst, "layers": evidence}
    if name != "latency":
        return _image_verdict(verdict, metric) or {}
    moved = {
        "measured_s": "measured",
        "measured_interval_s": "measured_interval",
        "baseline_s": "expected",
    }
    numbers = {moved.get(key, key): value for key, value in verdict.items()}
    numbers.pop("reason", None)
    return numbers | _verdict(metric, verdict)


def _metric_verdict(verdict: Document) -> Document:
    """A verdict of a gate on one metric."""
    return _verdict(verdict["metric"], verdict) | {
        "measured": verdict.get("treatment"),
        "expected": verdict.get("control"),
        "change": verdict.get("change"),
        "change_interval": verdict.get("interval"),
        "minimum_detectable_effect": verdict.get("minimum_detectable_effect"),
    }


def _image_verdict(verdict: Document | None, metric: str) -> Document | None:
    if verdict is None:
        return None
    kept = ("thresholds", "scores", "change", "pictures")
    known = [each["ssim"] for each in verdict["scores"] if each["ssim"] is not None]
    return _verdict(metric, verdict) | {
        "measured": min(known, default=None) if metric == "images" else None,
        "images": {name: verdict[name] for name in kept if name in verdict},
        "notes": [_note(each) for each in verdict.get("notes", ())],
    }


def _verdict(metric: str, verdict: Document) -> Document:
    reason = verdict.get("reason")
    return {
        "metric": metric,
        "outcome": verdict["outcome"],
        "reasons": [_note(reason)] if reason else [],
    }


def _note(text: str | None) -> Document | None:
    """Words of schema 1, which had no coded reasons."""
    return None if text is None else {"code": "Note", "text": text}
