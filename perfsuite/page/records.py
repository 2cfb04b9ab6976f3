"""Records for a page: of any kind and schema, as much of each as can be understood."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from perfsuite.errors import OutputError
from perfsuite.results.ab import GateRecord
from perfsuite.results.bisection import BisectRecord
from perfsuite.results.counters import TierCounters
from perfsuite.results.method import Finding
from perfsuite.results.migrate import SCHEMA, migrated
from perfsuite.results.reasons import Reason
from perfsuite.results.samples import Measurement
from perfsuite.results.session import RunRecord
from perfsuite.results.verdict import Verdict
from perfsuite.storage import read_file, why

Record = RunRecord | GateRecord | BisectRecord
_KINDS: dict[str, type[Any]] = {
    "run_id": RunRecord,
    "gate_id": GateRecord,
    "bisect_id": BisectRecord,
}
"""By the key that only records of that kind have."""
_CODES = frozenset(each.__name__ for each in typing.get_args(Reason))
_OF_REASONS = frozenset({"reasons", "notes", "spoilt", "found"})
"""Fields that hold reasons."""
_PARTS: dict[str, type[Any]] = {
    "verdicts": Verdict,
    "verdict": Verdict,
    "measurement": Measurement,
    "counters": TierCounters,
    "control_images": Verdict,
    "treatment_images": Verdict,
    "same_images": Verdict,
}
"""Fields of a record's parts that the rest can do without."""


@dataclass(frozen=True)
class Source:
    """One record.

    Attributes:
        record: what was read.
        folder: where it lies; paths of pictures start there.
        findings: what of it could not be understood.
    """

    record: Record
    folder: Path
    findings: tuple[Finding, ...] = ()


def read_sources(paths: Iterable[Path]) -> tuple[tuple[Source, ...], tuple[Finding, ...]]:
    """All records that can be read, the newest last, and what is wrong with the other files."""
    sources: list[Source] = []
    findings: list[Finding] = []
    for path in paths:
        try:
            sources.append(read_source(path))
        except OutputError as error:
            findings.append(Finding(path.name, error.problem))
    known = {identity(each.record): each for each in sources}  # latest.json is one of the others
    return tuple(sorted(known.values(), key=lambda each: identity(each.record))), tuple(findings)


def identity(record: Record) -> str:
    """What tells a record from others; sorts by time."""
    match record:
        case RunRecord():
            return record.run_id
        case GateRecord():
            return record.gate_id
        case BisectRecord():
            return record.bisect_id


def read_source(path: Path) -> Source:
    """A record of a session, a gate or a bisection.

    A record of a newer perfsuite, or one that is damaged in parts, is read as far as it goes; what
    was left out is a finding.

    Raises:
        OutputError: it cannot be read at all.
    """
    hint = "name files that perfsuite wrote under runs/, gates/ or bisections/"
    try:
        document = msgspec.json.decode(read_file(path))
        kind = _KINDS[next(key for key in _KINDS if key in document)]
        schema = int(document["schema"])
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read {path} ({why(error)})", hint=hint) from None
    except (StopIteration, TypeError, KeyError):
        raise OutputError(f"{path} is no record of perfsuite's", hint=hint) from None
    try:
        return Source(_converted(document, kind, schema), path.parent)
    except Exception as first:  # whichever way it breaks, the document is at fault
        said = [f"schema {schema} is newer than {SCHEMA}"] if schema > SCHEMA else []
        lost: list[str] = []
        try:
            record = _converted(_mended(document, lost), kind, SCHEMA)
        except Exception:
            problem = f"{path} is not valid ({first})"
            raise OutputError(problem, hint=hint) from None
    findings = [Finding(path.name, f"not understood, and left out: {each}") for each in lost]
    findings += [Finding(path.name, f"{each}: shown as far as it is understood") for each in said]
    return Source(record, path.parent, tuple(findings))


def _converted(document: dict[str, Any], kind: type[Any], schema: int) -> Record:
    if schema > SCHEMA:
        raise ValueError(f"schema {schema}")
    known = migrated(document) if schema < SCHEMA else document
    record: Record = msgspec.convert(known, type=kind)
    return record


def _mended(document: dict[str, Any], lost: list[str]) -> dict[str, Any]:
    """A document without the parts that do not convert, which are named in `lost`."""
    worded: dict[str, Any] = _worded(document)
    tiers = worded.get("tiers", [])
    if isinstance(tiers, list):
        worded["tiers"] = [_without_strange(each, lost) for each in tiers if isinstance(each, dict)]
    trials = worded.get("trials", [])
    if isinstance(trials, list):
        worded["trials"] = [_without_strange(each, lost) for each in trials]
    return worded


def _without_strange(part: dict[str, Any], lost: list[str]) -> dict[str, Any]:
    kept = dict(part)
    name = part.get("tier") or part.get("version") or "?"
    for key, kind in _PARTS.items():
        value = part.get(key)
        if isinstance(value, list):
            kept[key] = [each for each in value if not _is_strange(each, kind, name, key, lost)]
        elif value is not None and _is_strange(value, kind, name, key, lost):
            kept[key] = None
    return kept


def _is_strange(value: Any, kind: type[Any], name: str, key: str, lost: list[str]) -> bool:
    try:
        msgspec.convert(value, type=kind)
    except Exception as error:
        lost.append(f"{key} of {name} ({error})")
        return True
    return False


def _worded(value: Any, key: str = "") -> Any:
    """Reasons of a class that is not known here become notes with what they say."""
    if isinstance(value, list):
        return [_worded(each, key) for each in value]
    if not isinstance(value, dict):
        return value
    code = value.get("code")
    if key in _OF_REASONS and isinstance(code, str) and code not in _CODES:
        data = ", ".join(f"{name} {each}" for name, each in value.items() if name != "code")
        return {"code": "Note", "text": f"{code}: {data}" if data else code}
    return {name: _worded(each, name) for name, each in value.items()}
