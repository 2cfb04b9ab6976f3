"""Stored runs that a new run is held against: `<folder>/<hardware key>/<checkpoint>.json`.

A baseline keeps the raw samples of every recorded run, with the probe's samples beside them,
since the unit of noise is the run. The one figure beside the samples, `accepted_latency_s`, is
what a new run is held against; it is the samples' own median unless a person edits it to set a
target by hand.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from pathlib import Path

from perfsuite.errors import BaselineError
from perfsuite.results.machine import Environment
from perfsuite.results.migrate import SCHEMA, migrated
from perfsuite.results.samples import LatencySamples, Measurement
from perfsuite.storage import read_json, write_json


@dataclass(frozen=True)
class RecordedRun:
    """One run of one tier.

    Attributes:
        run_id: of the run record that it is from.
        environment: where it was made.
        latency: raw samples.
    """

    run_id: str
    environment: Environment
    latency: LatencySamples


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


@dataclass(frozen=True)
class BaselineStore:
    """Reads from the committed folder, then from the local one; writes where it is told.

    Attributes:
        committed: `--perf-baselines`, under version probe.
        local: baselines of machines that have none there; not under version probe.
        hardware_key: names the hardware.
        checkpoint: names the checkpoint.
        workload: digest of the latency workload.
    """

    committed: Path
    local: Path
    hardware_key: str
    checkpoint: str
    workload: str

    def path(self, folder: Path) -> Path:
        """Where this hardware's baseline of this checkpoint lies in a folder."""
        return folder / self.hardware_key / f"{self.checkpoint}.json"

    def find(self) -> Path | None:
        """The file that holds the baseline, or None if there is none for this hardware."""
        paths = (self.path(self.committed), self.path(self.local))
        return next((path for path in paths if path.is_file()), None)

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
            hint="restore it from version probe, or delete it and record anew with --perf-update",
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
            BaselineError: the file that is there cannot be read; it is left as it is.
            OutputError: the folder cannot be written.
        """
        path = self.path(folder)
        before = (
            self._read(path)
            if path.is_file()
            else Baseline(SCHEMA, self.hardware_key, self.checkpoint, self.workload, {})
        )
        known = before.tiers.get(measurement.tier)
        before_it = known.runs if add and known is not None else ()
        # What one process measures twice is one run: between runs of a process there is no noise.
        kept = tuple(each for each in before_it if each.run_id != run.run_id)
        runs = (*(each for each in kept if each.latency.probe == run.latency.probe), run)
        accepted = TierBaseline(1.0, runs).recorded_latency_s
        if kept and known is not None and known.was_edited:
            accepted = known.accepted_latency_s
        tiers = before.tiers | {measurement.tier: TierBaseline(accepted, runs)}
        write_json(path, replace(before, tiers=tiers))
        return path
