"""PyTorch's benchmark database, version 3 of its schema.

It stands in PyTorch's wiki, on the page 'PyTorch OSS benchmark infra'.
"""

from __future__ import annotations

from typing import Any

import msgspec

from perfsuite.history.records import session_in
from perfsuite.results.history import Entry, Kind, Reading, Unit

_NO_PACKAGES = ("python", "system", "revision")


def pytorch_oss_json(entry: Entry) -> str:
    """One record for each value; of a session's latency all samples."""
    samples = _samples(entry)
    rows = [_row(entry, reading, samples) for reading in entry.readings]
    return msgspec.json.format(msgspec.json.encode(rows), indent=1).decode() + "\n"


def _samples(entry: Entry) -> dict[str, list[float]]:
    """Seconds of a session's samples, by the tier's label."""
    if entry.run.kind is not Kind.SESSION:
        return {}
    record = session_in(entry)
    return {
        result.label: list(result.measurement.latency.samples_s)
        for result in record.tiers
        if result.measurement is not None
    }


def _row(entry: Entry, reading: Reading, samples: dict[str, list[float]]) -> dict[str, Any]:
    run, key, quantity = entry.run, reading.key, reading.key.quantity
    is_latency = quantity.name == "latency"
    values = samples.get(key.label, [reading.value]) if is_latency else [reading.value]
    return {
        "benchmark": {
            "name": "perfsuite",
            "mode": "inference",
            "dtype": "",
            "extra_info": {
                "run": run.run_id,
                "kind": run.kind.value,
                **{name: run.versions[name] for name in _NO_PACKAGES if name in run.versions},
            },
        },
        "model": {
            "name": key.checkpoint,
            "type": "diffusion pipeline",
            "backend": key.label,
            "origins": ["huggingface"],
        },
        "metric": {
            "name": f"{quantity.name} ({quantity.unit.value})"
            if quantity.unit is not Unit.FRACTION
            else quantity.name,
            "benchmark_values": values,
            "extra_info": {fact.name: fact.value for fact in key.facts},
        },
        "runners": [
            {
                "name": run.host or "unknown",
                "type": run.hardware_key,
                "extra_info": {"model": run.hardware},
            }
        ],
        "dependencies": {
            name: {"version": version}
            for name, version in sorted(run.versions.items())
            if name not in _NO_PACKAGES
        },
    }
