"""asv's results: `results/MACHINE/COMMIT-ENVIRONMENT.json`, beside `machine.json`."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from perfsuite.errors import HistoryError
from perfsuite.results.history import (
    Entry,
    Fact,
    Kind,
    PastRun,
    Quantity,
    Reading,
    SeriesKey,
    Unit,
)
from perfsuite.storage import read_file, why

_UNITS = {"seconds": Unit.SECONDS, "bytes": Unit.BYTES}
_KNOWN_VERSION = 2
_BESIDE = ("machine.json", "benchmarks.json")


def is_of_asv(document: object) -> bool:
    """Whether a decoded JSON document is one of asv's results."""
    return isinstance(document, dict) and {"commit_hash", "results", "env_name"} <= document.keys()


def asv_files(folder: Path) -> Iterator[Path]:
    """Files of results below a folder."""
    for path in sorted(folder.rglob("*.json")):
        if path.name not in _BESIDE and (path.parent / "machine.json").is_file():
            yield path


def entry_of_asv(path: Path, content: bytes) -> Entry:
    """A file of asv's results as it is appended; what failed or was skipped is no value.

    Raises:
        HistoryError: it is none.
    """
    try:
        document = msgspec.json.decode(content)
        if document["version"] != _KNOWN_VERSION:
            raise ValueError(f"version {document['version']}, {_KNOWN_VERSION} is known")
        run = _run(document, content)
        readings = tuple(_readings(run, document, _units(path)))
    except (msgspec.DecodeError, LookupError, TypeError, ValueError, AttributeError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        problem = f"{path} is no result of asv ({said})"
        raise HistoryError(problem, hint="name asv's folder of results") from None
    return Entry(run, readings, content)


def _run(document: dict[str, Any], content: bytes) -> PastRun:
    machine = document["params"]
    date = document["date"] / 1000  # of the commit, in milliseconds
    at = datetime.datetime.fromtimestamp(date, datetime.timezone.utc).isoformat(timespec="seconds")
    digest = hashlib.sha256(content).hexdigest()[:8]
    requirements = document.get("requirements") or {}
    return PastRun(
        run_id=f"{re.sub(r'[-:]', '', at[:19])}Z-{digest}",
        kind=Kind.IMPORTED,
        at=at,
        hardware_key=re.sub(
            r"[^a-z0-9]+", "-", f"{machine.get('arch', '')} {machine.get('cpu', '')}".lower()
        ).strip("-"),
        hardware=str(machine.get("cpu") or machine.get("arch") or ""),
        checkpoint="",
        title=f"asv, {document['env_name']}",
        host=machine.get("machine") or None,
        versions={
            **{name: str(version) for name, version in requirements.items() if version},
            "python": str(document.get("python") or machine.get("python", "")),
            "system": str(machine.get("os", "")),
            "revision": str(document["commit_hash"])[:12],
        },
    )


def _readings(run: PastRun, document: dict[str, Any], units: dict[str, str]) -> Iterator[Reading]:
    columns = document["result_columns"]
    for name, row in document["results"].items():
        fields = dict(zip(columns, row, strict=False))
        unit = units.get(name, "seconds")
        quantity = Quantity(unit, _UNITS.get(unit, Unit.COUNT))
        if unit == "seconds":
            quantity = Quantity("latency", Unit.SECONDS)
        names = [
            "-".join(chosen) for chosen in itertools.product(*(fields.get("params") or []))
        ] or [""]
        for place, value in enumerate(fields["result"] or ()):
            if value is None or not math.isfinite(value):
                continue
            low = (fields.get("stats_ci_99_a") or [None] * (place + 1))[place]
            high = (fields.get("stats_ci_99_b") or [None] * (place + 1))[place]
            known = low is not None and high is not None and math.isfinite(low + high)
            label = f"{name}[{names[place]}]" if names[place] else name
            facts = (
                Fact("tool", "asv"),
                Fact("environment", str(document["env_name"])),
                Fact("version", str(fields.get("version") or "")),
            )
            key = SeriesKey(
                Kind.IMPORTED, label, quantity, run.hardware_key, run.checkpoint, None, facts
            )
            yield Reading(key, float(value), _narrowed(value, low, high) if known else None)


def _narrowed(value: float, low: float, high: float) -> tuple[float, float]:
    """Asv's interval is of 99 %; the history's are of 95 %, as far as they are near normal."""
    part = 1.960 / 2.576
    return value - (value - low) * part, value + (high - value) * part


def _units(path: Path) -> dict[str, str]:
    """Units of benchmarks, from `benchmarks.json` above the machine's folder; seconds without."""
    known = path.parent.parent / "benchmarks.json"
    if not known.is_file():
        return {}
    try:
        benchmarks = msgspec.json.decode(read_file(known))
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise ValueError(f"{known} cannot be read ({why(error)})") from None
    return {
        name: str(each.get("unit", "seconds"))
        for name, each in benchmarks.items()
        if isinstance(each, dict)
    }
