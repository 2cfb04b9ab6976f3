"""Stored runs that a new run is held against: `<folder>/<hardware key>/<checkpoint>.json`.

A workload that is not the checkpoint's own has files beside those: `<checkpoint>--<label>.json`.

A baseline keeps the raw samples of every recorded run, with the probe's samples beside them,
since the unit of noise is the run. The one figure beside the samples, `accepted_latency_s`, is
what a new run is held against; it is the samples' own median unless a person edits it to set a
target by hand.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from perfsuite.errors import BaselineError
from perfsuite.results.machine import Environment
from perfsuite.results.method import Method
from perfsuite.results.migrate import SCHEMA, migrated
from perfsuite.results.reasons import Incomparable
from perfsuite.results.samples import LatencySamples, Measurement
from perfsuite.results.stages import TierStages
from perfsuite.storage import locked, named_from, read_json, write_json
from perfsuite.workload import labelled


@dataclass(frozen=True)
class RecordedRun:
    """One run of one tier.

    Attributes:
        run_id: of the run record that it is from.
        environment: where it was made.
        latency: raw samples.
        method: what was measured; None in files that were written before it was kept.
        stages: where the time of an image went, likewise.
    """

    run_id: str
    environment: Environment
    latency: LatencySamples
    method: Method | None = None
    stages: TierStages | None = None

    def difference(self, other: RecordedRun) -> Incomparable | None:
        """Why another run may not be held against this one; None if it may.

        What is not known of either is not held against it. The CPU threads of torch compute nothing
        that is timed on an accelerator, so there they may differ.
        """
        own, new = self.environment, other.environment
        if own.hardware.kind == "cpu" and own.threads != new.threads:
            return Incomparable("threads", str(new.threads), str(own.threads))
        if self.method is None or other.method is None:
            return None
        return self.method.difference(other.method)


@dataclass(frozen=True)
class TierBaseline:
    """What one tier is held against.

    Attributes:
        accepted_latency_s: seconds per image that a new run is held against.
        runs: the recorded runs, oldest first.

    Raises:
        ValueError: no run, or a latency that is none.
    """

    accepted_latency_s: float
    runs: tuple[RecordedRun, ...]

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("a tier without a recorded run")
        if not 0 < self.accepted_latency_s < float("inf"):
            raise ValueError(f"an accepted latency of {self.accepted_latency_s} s is none")

    @property
    def latencies(self) -> tuple[LatencySamples, ...]:
        """Samples of the recorded runs."""
        return tuple(run.latency for run in self.runs)

    @property
    def recorded_latency_s(self) -> float:
        """Median over runs of each run's median, in seconds."""
        return statistics.median(statistics.median(run.latency.samples_s) for run in self.runs)

    @property
    def was_edited(self) -> bool:
        """Whether a person has set the accepted latency to something that was not recorded."""
        return abs(self.accepted_latency_s / self.recorded_latency_s - 1) > 1e-6

    def of_runs(self, runs: tuple[RecordedRun, ...]) -> TierBaseline:
        """The same tier with other runs; a latency that a person has set stays."""
        if self.was_edited:
            return replace(self, runs=runs)
        return TierBaseline(TierBaseline(1.0, runs).recorded_latency_s, runs)


@dataclass(frozen=True)
class Baseline:
    """All tiers of one checkpoint on one kind of hardware.

    Attributes:
        schema: version of this layout.
        hardware_key: names the hardware.
        checkpoint: names the checkpoint.
        workload: digest of the latency workload.
        tiers: by the tier's name.
    """

    schema: int
    hardware_key: str
    checkpoint: str
    workload: str
    tiers: dict[str, TierBaseline]


def stages_of(
    baseline: Baseline | None, tier: str
) -> tuple[tuple[LatencySamples, TierStages], ...]:
    """Samples and stages of a tier's recorded runs that have both."""
    known = baseline.tiers.get(tier) if baseline else None
    runs = known.runs if known else ()
    return tuple((run.latency, run.stages) for run in runs if run.stages is not None)


@dataclass(frozen=True)
class Comparable:
    """What of a baseline this session may be held against.

    Attributes:
        baseline: the tiers and runs that may; None if there is no file.
        refused: by tier, why none of its recorded runs may.
        unknown: tiers whose runs do not tell what was measured.
    """

    baseline: Baseline | None
    refused: dict[str, Incomparable] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()


def comparable(
    baseline: Baseline | None, environment: Environment, methods: Mapping[str, Method]
) -> Comparable:
    """Leave out of a baseline what was recorded with something else than is now measured.

    Args:
        baseline: as it was read.
        environment: of this session.
        methods: by the tier's name, what is now measured; of other tiers only the threads count.
    """
    if baseline is None:
        return Comparable(None)
    kept: dict[str, TierBaseline] = {}
    refused: dict[str, Incomparable] = {}
    for name, tier in baseline.tiers.items():
        now = RecordedRun("", environment, tier.runs[-1].latency, methods.get(name))
        differences = [run.difference(now) for run in tier.runs]
        same = tuple(run for run, why in zip(tier.runs, differences, strict=True) if why is None)
        if same:
            kept[name] = tier.of_runs(same)
        else:
            refused[name] = next(why for why in reversed(differences) if why is not None)
    unknown = [name for name, tier in kept.items() if any(run.method is None for run in tier.runs)]
    return Comparable(
        replace(baseline, tiers=kept), refused, frozenset(unknown) & frozenset(methods)
    )


@dataclass(frozen=True)
class BaselineStore:
    """Reads from the committed folder, then from the local one; writes where it is told.

    Attributes:
        committed: `--perf-baselines`, under version control.
        local: baselines of machines that have none there; not under version control.
        hardware_key: names the hardware.
        checkpoint: names the checkpoint.
        workload: digest of the latency workload.
        label: tells the files of this workload from those of the checkpoint's own; None for that.
    """

    committed: Path
    local: Path
    hardware_key: str
    checkpoint: str
    workload: str
    label: str | None = None

    def path(self, folder: Path) -> Path:
        """Where this hardware's baseline of this checkpoint lies in a folder."""
        return folder / self.hardware_key / f"{labelled(self.checkpoint, self.label)}.json"

    def find(self) -> Path | None:
        """The file that holds the baseline, or None if there is none for this hardware."""
        paths = (self.path(self.committed), self.path(self.local))
        return next((path for path in paths if path.is_file()), None)

    def named(self, path: Path) -> str:
        """A file of this store from its folder's name on: true wherever the folders lie."""
        folder = self.committed if path.is_relative_to(self.committed) else self.local
        return named_from(folder, path)

    def load(self) -> Baseline | None:
        """The baseline, validated; None if there is none for this hardware.

        Raises:
            BaselineError: the file cannot be read, or was recorded for something else.
        """
        path = self.find()
        return None if path is None else self._read(path)

    def _read(self, path: Path) -> Baseline:
        baseline = read_json(
            path,
            Baseline,
            schema=SCHEMA,
            error=BaselineError,
            hint="restore it from version control, or delete it and record anew with --perf-update",
            migrate=migrated,
        )
        self._check_match(baseline, path)
        return baseline

    def _check_match(self, baseline: Baseline, path: Path) -> None:
        expected = (
            ("hardware", baseline.hardware_key, self.hardware_key),
            ("checkpoint", baseline.checkpoint, self.checkpoint),
            ("workload", baseline.workload, self.workload),
        )
        for what, found, wanted in expected:
            if found != wanted:
                raise BaselineError(
                    f"{path} was recorded for {what} {found}, this is {wanted}",
                    hint="delete it and record anew with --perf-update",
                )

    def save_run(
        self, folder: Path, measurement: Measurement, run: RecordedRun, *, add: bool
    ) -> Path:
        """Store a run of one tier; other tiers stay as they are.

        Args:
            folder: the committed or the local folder.
            measurement: names the tier.
            run: the run.
            add: keep the runs that are there, if they were made with the same probe.

        Raises:
            BaselineError: the file that is there cannot be read, or a run is to be added to those
                of something else; it is left as it is.
            OutputError: the folder cannot be written, or another session does not let go of it.
        """
        path = self.path(folder)
        with locked(path):  # another session may add to it at this moment
            before = (
                self._read(path)
                if path.is_file()
                else Baseline(SCHEMA, self.hardware_key, self.checkpoint, self.workload, {})
            )
            known = before.tiers.get(measurement.tier)
            before_it = known.runs if add and known is not None else ()
            # What one process measures twice is one run: within a process no noise of runs shows.
            kept = tuple(each for each in before_it if each.run_id != run.run_id)
            self._check_addable(kept, run, path)
            runs = (*(each for each in kept if each.latency.probe == run.latency.probe), run)
            fresh = TierBaseline(TierBaseline(1.0, runs).recorded_latency_s, runs)
            tier = known.of_runs(runs) if known is not None and kept else fresh
            tiers = before.tiers | {measurement.tier: tier}
            write_json(path, replace(before, tiers=tiers))
        return path

    @staticmethod
    def _check_addable(kept: tuple[RecordedRun, ...], run: RecordedRun, path: Path) -> None:
        """A baseline is never made of mixed runs."""
        why = next((why for each in kept if (why := each.difference(run)) is not None), None)
        if why is not None:
            raise BaselineError(
                f"{path} was recorded for {why}: no run can be added to it",
                hint="record anew with --perf-update, or measure as it was recorded",
            )
