"""Expectations of what CUDA code consists of: one file for each checkpoint and version of torch."""

from __future__ import annotations

import contextlib
from pathlib import Path

from packaging.version import InvalidVersion, Version

from perfsuite.errors import BaselineError
from perfsuite.results.deviceless import (
    StructureRecord,
    combined,
    load_structure,
    save_structure,
)
from perfsuite.storage import locked

_PREFIX = "torch-"


def expectation_path(baselines: Path, label: str, torch: str) -> Path:
    """Where the expectation for a version of torch lies; builds of one release share it.

    Args:
        baselines: folder of committed baselines.
        label: of the checkpoint and the workload.
        torch: the version.
    """
    return baselines / "structure" / label / f"{_PREFIX}{torch.partition('+')[0]}.json"


def nearest_expectation(path: Path) -> Path | None:
    """The expectation itself, else the newest of an older torch, else the oldest; None without any.

    Args:
        path: from `expectation_path`.
    """
    wanted = _version(path)
    known = sorted((_version(each), each) for each in path.parent.glob(f"{_PREFIX}*.json"))
    older = [each for version, each in known if version <= wanted]
    return older[-1] if older else known[0][1] if known else None


def load_expectation(path: Path, like: StructureRecord) -> StructureRecord:
    """Read an expectation that a record can be held against.

    Args:
        path: the file.
        like: what it will be compared with.

    Raises:
        BaselineError: it cannot be read, or is of another architecture or workload.
    """
    found = load_structure(path)
    for what, there, here in (
        ("architecture", found.architecture, like.architecture),
        ("workload", found.workload.digest, like.workload.digest),
    ):
        if there != here:
            raise BaselineError(
                f"{path} is of another {what} ({there}, here {here})",
                hint="name another file with --against, or replace it with --update",
            )
    return found


def update_expectation(path: Path, record: StructureRecord) -> None:
    """Keep a record as the expectation, beside what the file holds of other tiers.

    What cannot be read, or is of something else, is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    with locked(path):
        with contextlib.suppress(BaselineError):
            record = combined(load_expectation(path, record), record)
        save_structure(path, record)


def _version(path: Path) -> Version:
    try:
        return Version(path.stem.removeprefix(_PREFIX))
    except InvalidVersion:
        return Version("0")
