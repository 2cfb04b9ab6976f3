"""Prometheus' text format, for node_exporter's textfile collector (which takes no timestamps)."""

from __future__ import annotations

import datetime
import re

from perfsuite.results.history import Entry, Quantity, Reading, Unit

_UNITS = {
    Unit.SECONDS: "_seconds",
    Unit.BYTES: "_bytes",
    Unit.DECIBELS: "_decibels",
    Unit.COUNT: "",
    Unit.FRACTION: "_ratio",
}


def prometheus_text(entry: Entry) -> str:
    """One gauge for each quantity, its tiers as labels, and when the run began."""
    by_quantity: dict[Quantity, list[Reading]] = {}
    for reading in entry.readings:
        by_quantity.setdefault(reading.key.quantity, []).append(reading)
    lines = []
    for quantity, readings in by_quantity.items():
        name = _metric_name(quantity)
        lines += [f"# HELP {name} {quantity.name} of the last run", f"# TYPE {name} gauge"]
        samples = {_labels(entry, reading): reading.value for reading in readings}
        lines += [f"{name}{{{labels}}} {value!r}" for labels, value in samples.items()]
    run, began = entry.run, "perfsuite_run_started_seconds"
    at = datetime.datetime.fromisoformat(run.at).timestamp()
    about = _written({"kind": run.kind.value, "hardware": run.hardware_key, "run": run.run_id})
    lines += [f"# HELP {began} when the run began, Unix time", f"# TYPE {began} gauge"]
    lines.append(f"{began}{{{about}}} {at!r}")
    return "\n".join(lines) + "\n"


def _metric_name(quantity: Quantity) -> str:
    return f"perfsuite_{re.sub(r'[^a-z0-9]+', '_', quantity.name.lower())}{_UNITS[quantity.unit]}"


def _labels(entry: Entry, reading: Reading) -> str:
    key = reading.key
    return _written(
        {
            "tier": key.label,
            "checkpoint": key.checkpoint,
            "hardware": key.hardware_key,
            "host": entry.run.host or "",
            "kind": key.kind.value,
        }
    )


def _written(labels: dict[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
