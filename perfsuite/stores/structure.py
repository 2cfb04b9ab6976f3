"""Recorded counts: `<folder>/counters/<checkpoint>.json`, one entry for each set of versions.

Counts do not depend on how fast a machine is, so one file serves every machine. An entry names what
they do depend on: the kind of device, the versions of the libraries, and for kernels the CPU's
vectors or the accelerator's model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from perfsuite.errors import BaselineError
from perfsuite.judge.structure import RecordedCounts
from perfsuite.results.counters import TierCounters
from perfsuite.results.machine import Environment
from perfsuite.results.method import Method
from perfsuite.results.migrate import SCHEMA, migrated
from perfsuite.results.reasons import Incomparable
from perfsuite.storage import locked, read_json, write_json
from perfsuite.stores.baselines import BaselineStore
from perfsuite.workload import labelled

LIBRARIES = ("torch", "diffusers", "transformers", "torchao")
_HINT = "restore it from version control, or delete it and record anew with --perf-update"


@dataclass(frozen=True)
class CountedWith:
    """What counts depend on, beside what is counted.

    Attributes:
        device: `cpu`, or the accelerator's torch name.
        machine: the CPU's vector extensions, or the accelerator's model.
        versions: of the libraries under test.
    """

    device: str
    machine: str
    versions: dict[str, str]

    @classmethod
    def here(cls, environment: Environment) -> CountedWith:
        """Of a session's environment."""
        hardware = environment.hardware
        machine = " ".join(hardware.features) if hardware.kind == "cpu" else hardware.model
        packages = environment.packages
        versions = {name: packages[name] for name in LIBRARIES if name in packages}
        return cls(hardware.kind, machine, versions)

    def differing(self, other: CountedWith) -> tuple[str, ...]:
        """Those of this one's libraries that the other has in another version."""
        return tuple(
            f"{name} {version}"
            for name, version in self.versions.items()
            if other.versions.get(name) != version
        )


@dataclass(frozen=True)
class CountedTier:
    """One tier's counts with what was measured.

    Attributes:
        counters: the counts.
        method: what the tier resolved to.
    """

    counters: TierCounters
    method: Method | None = None


@dataclass(frozen=True)
class StructureEntry:
    """Counts of all tiers with one set of versions.

    Attributes:
        counted_with: what they depend on.
        tiers: by the tier's name.
    """

    counted_with: CountedWith
    tiers: dict[str, CountedTier] = field(default_factory=dict)


@dataclass(frozen=True)
class StructureBaseline:
    """All recorded counts of one checkpoint at one workload.

    Attributes:
        schema: version of this layout.
        checkpoint: names the checkpoint.
        workload: digest of the latency workload.
        entries: oldest first.
    """

    schema: int
    checkpoint: str
    workload: str
    entries: tuple[StructureEntry, ...] = ()


@dataclass(frozen=True)
class StructureStore:
    """Reads from the committed folder, then from the local one; writes where it is told.

    Attributes:
        committed: `--perf-baselines`.
        local: for what has none there.
        checkpoint: names the checkpoint.
        workload: digest of the latency workload.
        label: tells the files of this workload from those of the checkpoint's own; None for that.
    """

    committed: Path
    local: Path
    checkpoint: str
    workload: str
    label: str | None = None

    @classmethod
    def beside(cls, baselines: BaselineStore) -> StructureStore:
        """The store of counts in the folders of a store of baselines."""
        names = baselines.checkpoint, baselines.workload, baselines.label
        return cls(baselines.committed, baselines.local, *names)

    def path(self, folder: Path) -> Path:
        """Where counts lie in a folder."""
        return folder / "counters" / f"{labelled(self.checkpoint, self.label)}.json"

    def find(
        self, tier: str, method: Method | None, here: CountedWith
    ) -> RecordedCounts | Incomparable | None:
        """Recorded counts that fit best: of these versions and this machine, before others.

        Returns:
            None if there are none; the first difference if all are of something else.

        Raises:
            BaselineError: a file cannot be read, or is of something else.
        """
        entries = [
            entry
            for folder in (self.local, self.committed)
            for entry in self._load(folder)
            if entry.counted_with.device == here.device and tier in entry.tiers
        ]
        fitting, unlike = [], None
        for entry in entries:
            known = entry.tiers[tier].method
            unlike = known.difference(method) if known and method else None
            fitting += [] if unlike else [entry]
        if not fitting:
            return unlike
        best = max(fitting, key=lambda each: _likeness(each.counted_with, here))
        found = best.counted_with
        return RecordedCounts(
            best.tiers[tier].counters,
            same_machine=found.machine == here.machine,
            before=found.differing(here),
            now=here.differing(found),
        )

    def save(self, folder: Path, tier: str, counted: CountedTier, here: CountedWith) -> Path:
        """Store a tier's counts in the place of those of the same versions; its path.

        Raises:
            BaselineError: the file that is there cannot be read.
            OutputError: the folder cannot be written.
        """
        path = self.path(folder)
        with locked(path):
            known = self._load(folder)
            entry = next(
                (each for each in known if each.counted_with == here), StructureEntry(here)
            )
            fresh = replace(entry, tiers={**entry.tiers, tier: counted})
            others = tuple(each for each in known if each.counted_with != here)
            baseline = StructureBaseline(SCHEMA, self.checkpoint, self.workload, (*others, fresh))
            write_json(path, baseline)
        return path

    def _load(self, folder: Path) -> tuple[StructureEntry, ...]:
        path = self.path(folder)
        if not path.is_file():
            return ()
        found = read_json(
            path,
            StructureBaseline,
            schema=SCHEMA,
            error=BaselineError,
            hint=_HINT,
            migrate=migrated,
        )
        if (found.checkpoint, found.workload) != (self.checkpoint, self.workload):
            raise BaselineError(
                f"{path} was recorded for {found.checkpoint}, workload {found.workload}", hint=_HINT
            )
        return found.entries


def _likeness(found: CountedWith, here: CountedWith) -> tuple[bool, bool, int]:
    """How well recorded counts fit; compares as tuples do."""
    differing = len(found.differing(here)) + len(here.differing(found))
    return not differing, found.machine == here.machine, -differing
