"""The gate's record: both arms, every raw sample in order, every verdict. One JSON file.

It is written after every block, so that what was measured survives a crash or Ctrl-C.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from pathlib import Path

from perfsuite.errors import OutputError
from perfsuite.results.counters import TierCounters
from perfsuite.results.machine import Conditions, Environment
from perfsuite.results.method import Finding
from perfsuite.results.migrate import SCHEMA, migrated
from perfsuite.results.policy import PairedPolicy
from perfsuite.results.reasons import Reason
from perfsuite.results.samples import PeakMemory
from perfsuite.results.verdict import Outcome, Verdict, gravest
from perfsuite.storage import read_json, write_json
from perfsuite.workload import Workload


class Arm(str, enum.Enum):
    """Which arm."""

    CONTROL = "control"
    TREATMENT = "treatment"

    @property
    def other(self) -> Arm:
        """The arm that it is held against."""
        return Arm.TREATMENT if self is Arm.CONTROL else Arm.CONTROL


@dataclass(frozen=True)
class ArmFacts:
    """One of the two environments.

    Attributes:
        spec: as it was asked for.
        python: version of its interpreter.
        prefix: folder of its Python environment.
        packages: version of every installed distribution.
    """

    spec: str
    python: str = ""
    prefix: str = ""
    packages: dict[str, str] | None = None


@dataclass(frozen=True)
class StartFacts:
    """What one start of one arm measured beside its samples.

    Attributes:
        build_s: seconds for loading and changing the pipeline.
        first_image_s: seconds of the first image; holds the compilation.
        warmup_s: seconds of each image from there to the first sample.
        memory: peak while sampling.
        graph_breaks: since the start.
        recompiles: graphs compiled after the first image.
        late_recompiles: those of them that were compiled while sampling.
        findings: what building brought to light.
        conditions: what else went on while sampling, the other arm's turns left out.
    """

    build_s: float
    first_image_s: float
    warmup_s: tuple[float, ...]
    memory: PeakMemory
    graph_breaks: int
    recompiles: int
    late_recompiles: int
    findings: tuple[Finding, ...]
    conditions: Conditions


@dataclass(frozen=True)
class TimedSample:
    """One sample.

    Attributes:
        arm: whose it is.
        seconds: per image.
        turns_s: of each turn that the image was made in, where there were several: the first holds
            the text encoders, the last the decoder.
    """

    arm: Arm
    seconds: float
    turns_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class BlockRecord:
    """One start of both arms.

    Attributes:
        cold: whether it began with an empty compile cache.
        interleaved: whether the arms took turns sample by sample.
        samples: of both arms, in the order in which their images were done.
        starts: what each arm measured beside; an arm that did not come to its end has none.
        sampling_s: seconds from the first sample to the last.
        spoilt: why the samples may not be judged; None if they may.
        turns: that an image was made in; the arms alternated after each.
    """

    cold: bool
    interleaved: bool
    samples: tuple[TimedSample, ...]
    starts: dict[Arm, StartFacts]
    sampling_s: float
    spoilt: Reason | None = None
    turns: int = 1

    def unspoilt(self, arm: Arm) -> tuple[float, ...]:
        """One arm's samples but for those while which the device was throttled.

        Of arms that took turns a pair is left out where either was.
        """
        of = Arm if self.interleaved else (arm,)
        spoilt = {
            number
            for each in of
            if each in self.starts
            for number in self.starts[each].conditions.throttled_samples or ()
        }
        taken = self.seconds(arm)
        kept = tuple(each for number, each in enumerate(taken) if number not in spoilt)
        return kept or taken

    def seconds(self, arm: Arm) -> tuple[float, ...]:
        """One arm's samples, in order."""
        return tuple(each.seconds for each in self.samples if each.arm is arm)


@dataclass(frozen=True)
class Failure:
    """What stopped a tier.

    Attributes:
        arm: whose fault it is; None if it is neither's.
        message: one line.
        is_regression: whether it counts against the treatment: it raised an error where the
            control did not.
    """

    arm: Arm | None
    message: str
    is_regression: bool = False


@dataclass(frozen=True)
class TierGate:
    """One tier's part of the gate; what was not measured is None.

    Attributes:
        tier: its name.
        compiles: whether there is something to compile.
        blocks: raw samples.
        verdicts: one for each metric that was judged.
        control_images: the control's images against fp32.
        treatment_images: the treatment's images against fp32.
        same_images: the treatment's images against the control's.
        failure: what stopped it.
        control_counters: what the control asks of torch; None if it was not counted.
        treatment_counters: the same of the treatment.
        structure: the verdict on both.
    """

    tier: str
    compiles: bool = False
    blocks: tuple[BlockRecord, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    control_images: Verdict | None = None
    treatment_images: Verdict | None = None
    same_images: Verdict | None = None
    failure: Failure | None = None
    control_counters: TierCounters | None = None
    treatment_counters: TierCounters | None = None
    structure: Verdict | None = None

    @property
    def usable(self) -> tuple[BlockRecord, ...]:
        """Blocks that may be judged."""
        return tuple(block for block in self.blocks if block.spoilt is None)

    @property
    def spent_s(self) -> float:
        """Seconds of sampling of the blocks that may be judged."""
        return sum(block.sampling_s for block in self.usable)

    @property
    def outcome(self) -> Outcome | None:
        """The gravest verdict; None if the tier could not run or is not judged yet."""
        if self.failure is not None:
            return Outcome.REGRESSED if self.failure.is_regression else None
        return gravest(verdict.outcome for verdict in self.verdicts)


class Answer(enum.Enum):
    """May we upgrade? The value is the exit code."""

    PASSED = 0
    REGRESSED = 1
    INCONCLUSIVE = 3
    COULD_NOT_RUN = 4
    INTERRUPTED = 130


@dataclass(frozen=True)
class GateRecord:
    """One gate.

    Attributes:
        schema: version of this layout.
        gate_id: names the file; sorts by time.
        environment: the machine, and the packages of the perfsuite that judged.
        control: one arm.
        treatment: the other.
        checkpoint: names the checkpoint.
        identity: of its weights.
        latency_workload: what was timed.
        quality_workload: what was scored.
        policy: how strict the gate was.
        budget_s: seconds of sampling per tier.
        cores: CPU cores that both arms stayed on; empty for no preference.
        wanted: tiers that were asked for.
        tiers: results so far.
        complete: whether the gate came to its end.
        interrupted: whether somebody stopped it.
        host: name of the machine; None in records that are older than it.
        command: what was typed to make it; None in older records.
    """

    schema: int
    gate_id: str
    environment: Environment
    control: ArmFacts
    treatment: ArmFacts
    checkpoint: str
    identity: str
    latency_workload: Workload
    quality_workload: Workload
    policy: PairedPolicy
    budget_s: float
    cores: tuple[int, ...]
    wanted: tuple[str, ...]
    tiers: tuple[TierGate, ...] = ()
    complete: bool = False
    interrupted: bool = False
    host: str | None = None
    command: str | None = None

    @property
    def is_self_comparison(self) -> bool:
        """Whether both arms are the same environment, or hold the same packages."""
        one, other = self.control, self.treatment
        if not one.packages or not other.packages:
            return False
        same = (one.python, one.packages) == (other.python, other.packages)
        return one.prefix == other.prefix or same

    @property
    def answer(self) -> Answer:
        """What the gate says as a whole; a regression stands, whatever else failed."""
        outcomes = [tier.outcome for tier in self.tiers]
        if Outcome.REGRESSED in outcomes:
            return Answer.REGRESSED
        if self.interrupted:
            return Answer.INTERRUPTED
        if None in outcomes or len(outcomes) < len(self.wanted):
            return Answer.COULD_NOT_RUN
        if Outcome.INCONCLUSIVE in outcomes or Outcome.INVALID in outcomes:
            return Answer.INCONCLUSIVE
        return Answer.PASSED

    def with_tier(self, tier: TierGate) -> GateRecord:
        """A record in which `tier` stands in the place of what was known of it."""
        others = [each for each in self.tiers if each.tier != tier.tier]
        return replace(self, tiers=(*others, tier))


def record_path(gate_id: str, out: Path) -> Path:
    """Where a gate's record is kept."""
    return out / "gates" / f"{gate_id}.json"


def save_gate(record: GateRecord, out: Path) -> Path:
    """Write the record; its path.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = record_path(record.gate_id, out)
    write_json(path, record)
    return path


def load_gate(path: Path) -> GateRecord:
    """Read and validate a record.

    Raises:
        OutputError: it cannot be read.
    """
    hint = "name a file that perfsuite gate wrote under gates/"
    return read_json(
        path, GateRecord, schema=SCHEMA, error=OutputError, hint=hint, migrate=migrated
    )
