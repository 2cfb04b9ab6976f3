"""The list that github-action-benchmark takes as `customSmallerIsBetter`."""

from __future__ import annotations

import msgspec

from perfsuite.results.history import Entry


def github_action_json(entry: Entry) -> str:
    """One object for each value of which less is better; the tool has one direction a file."""
    run = entry.run
    extra = ", ".join(
        f"{name} {run.versions[name]}"
        for name in ("torch", "diffusers", "torchao", "revision")
        if name in run.versions
    )
    rows = []
    for reading in entry.readings:
        if reading.key.quantity.less_is_worse:
            continue
        row: dict[str, str | float] = {
            "name": f"{reading.key.label} {reading.key.quantity.name}",
            "unit": reading.key.quantity.unit.value,
            "value": reading.value,
            "extra": f"{run.run_id}: {extra}",
        }
        if reading.interval is not None:
            low, high = reading.interval
            row["range"] = f"± {max(high - reading.value, reading.value - low):.3g}"
        rows.append(row)
    return msgspec.json.format(msgspec.json.encode(rows), indent=1).decode() + "\n"
