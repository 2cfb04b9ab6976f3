"""pytest-benchmark's JSON: written for its `compare`, and read into the history."""

from __future__ import annotations

import datetime
import hashlib
import re
import statistics
from pathlib import Path
from typing import Any

import msgspec
from pytest_benchmark.stats import Stats

from perfsuite.errors import HistoryError
from perfsuite.history.records import session_in
from perfsuite.judge.variance import median_interval
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
from perfsuite.results.session import TierResult

SECONDS = Quantity("latency", Unit.SECONDS)


def pytest_benchmark_json(entry: Entry) -> str:
    """A session as a file that `pytest-benchmark compare` reads; statistics are its own.

    Raises:
        HistoryError: the run is no session, so it has no samples of its own.
    """
    run = entry.run
    if run.kind is not Kind.SESSION:
        problem = f"{run.run_id} is a {run.kind.value}: pytest-benchmark's JSON is of sessions"
        raise HistoryError(problem, hint="perfsuite history --kind session lists them")
    record = session_in(entry)
    document = {
        "machine_info": {
            "node": run.host or "",
            "system": record.environment.system,
            "python_version": record.environment.python,
            "cpu": {"brand_raw": run.hardware},
        },
        "commit_info": {
            "id": (record.environment.git_revision or "").rstrip("+"),
            "dirty": (record.environment.git_revision or "").endswith("+"),
            "time": None,
            "branch": "",
        },
        "benchmarks": [_benchmark(result) for result in record.tiers if result.measurement],
        "datetime": run.at,
        "version": _version(),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def _version() -> str:
    import pytest_benchmark

    return str(pytest_benchmark.__version__)


def _benchmark(result: TierResult) -> dict[str, Any]:
    assert result.measurement is not None
    stats = Stats()
    for seconds in result.measurement.latency.samples_s:
        stats.update(seconds)
    fields = {name: getattr(stats, name) for name in Stats.fields}
    name = f"test_latency[{result.label}]"
    return {
        "group": None,
        "name": name,
        "fullname": f"perfsuite::{name}",
        "params": {"perf_tier": result.tier},
        "param": result.label,
        "extra_info": {},
        "options": {"timer": "perf_counter", "warmup": len(result.measurement.warmup_s)},
        "stats": fields | {"iterations": 1, "data": list(stats.data)},
    }


def entry_of_pytest_benchmark(path: Path, content: bytes) -> Entry:
    """A file of pytest-benchmark's as it is appended.

    Raises:
        HistoryError: it is none.
    """
    try:
        document = msgspec.json.decode(content)
        machine = document["machine_info"]
        hardware = str((machine.get("cpu") or {}).get("brand_raw") or machine.get("processor"))
        at = _utc(str(document["datetime"]))
        digest = hashlib.sha256(content).hexdigest()[:8]
        run = PastRun(
            run_id=f"{re.sub(r'[-:]', '', at[:19])}Z-{digest}",
            kind=Kind.IMPORTED,
            at=at,
            hardware_key=_slug(f"{machine.get('machine', '')} {hardware}"),
            hardware=hardware,
            checkpoint="",
            title=f"pytest-benchmark, {len(document['benchmarks'])} benchmarks",
            host=machine.get("node") or None,
            versions=_versions(machine, document.get("commit_info") or {}),
        )
        readings = tuple(_reading(run, each) for each in document["benchmarks"])
    except (msgspec.DecodeError, LookupError, TypeError, ValueError, AttributeError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        problem = f"{path} is no JSON of pytest-benchmark ({said})"
        raise HistoryError(problem, hint="pytest --benchmark-json FILE writes one") from None
    return Entry(run, readings, content)


def _reading(run: PastRun, benchmark: dict[str, Any]) -> Reading:
    stats = benchmark["stats"]
    data = [float(each) for each in stats.get("data") or ()]
    key = SeriesKey(
        Kind.IMPORTED,
        str(benchmark["fullname"]),
        SECONDS,
        run.hardware_key,
        run.checkpoint,
        facts=(Fact("tool", "pytest-benchmark"),),
    )
    value = statistics.median(data) if data else float(stats["median"])
    return Reading(key, value, median_interval(data) if data else None)


def _versions(machine: dict[str, Any], commit: dict[str, Any]) -> dict[str, str]:
    known = {
        "python": machine.get("python_version"),
        "system": f"{machine.get('system', '')} {machine.get('release', '')}".strip(),
        "revision": commit.get("id"),
    }
    return {name: str(value) for name, value in known.items() if value}


def _utc(text: str) -> str:
    """The time as the history has it; a time without a zone is UTC, as pytest-benchmark writes."""
    moment = datetime.datetime.fromisoformat(text)
    utc = datetime.timezone.utc
    known = moment if moment.tzinfo else moment.replace(tzinfo=utc)
    return known.astimezone(utc).isoformat(timespec="seconds")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
