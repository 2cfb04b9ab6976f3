"""A gate's part of the page: both arms, and every block."""

from __future__ import annotations

import math
import shlex
import statistics
from dataclasses import dataclass
from pathlib import Path

from perfsuite.page.pictures import Album, Gallery
from perfsuite.page.scale import Scale, density, outline, spanning
from perfsuite.report.ab import ANSWERS, heading, notes, verdict_text
from perfsuite.results.ab import Answer, Arm, BlockRecord, GateRecord, TierGate
from perfsuite.results.verdict import Metric, Outcome, Verdict

OUTCOMES = {
    Answer.PASSED: Outcome.PASSED,
    Answer.REGRESSED: Outcome.REGRESSED,
    Answer.INCONCLUSIVE: Outcome.INCONCLUSIVE,
    Answer.COULD_NOT_RUN: Outcome.INVALID,
    Answer.INTERRUPTED: Outcome.INVALID,
}


@dataclass(frozen=True)
class BlockRow:
    """One start of both arms.

    Attributes:
        number: from 1.
        block: its samples.
        control: path of the control's distribution; empty where there is none.
        treatment: path of the treatment's.
        control_s: the control's median; None without samples.
        treatment_s: the treatment's.
        control_place: the control's median, percent of the axis.
        treatment_place: the treatment's.
    """

    number: int
    block: BlockRecord
    control: str
    treatment: str
    control_s: float | None
    treatment_s: float | None
    control_place: float | None
    treatment_place: float | None

    @property
    def change(self) -> float | None:
        """Of the treatment's median against the control's, in this block alone."""
        if self.control_s is None or self.treatment_s is None:
            return None
        return self.treatment_s / self.control_s - 1


@dataclass(frozen=True)
class GateTier:
    """A tier.

    Attributes:
        tier: its result.
        said: its verdict in a word or two.
        latency: verdict on the latency; None if there is none.
        scale: seconds; None if no block has samples.
        blocks: all of them.
        galleries: images of the control and of the treatment that were kept.
    """

    tier: TierGate
    said: str
    latency: Verdict | None
    scale: Scale | None
    blocks: tuple[BlockRow, ...]
    galleries: tuple[Gallery, ...]


@dataclass(frozen=True)
class Package:
    """A package that differs between both arms; None where it is not installed."""

    name: str
    control: str | None
    treatment: str | None


@dataclass(frozen=True)
class GatePart:
    """A gate.

    Attributes:
        record: what it is made of.
        headline: the verdict in one sentence.
        outcome: for its colour.
        about: what was measured, where.
        packages: that differ.
        tiers: in the order in which they were measured.
        notes: reasons and findings, each on one line.
        command: what repeats it.
    """

    record: GateRecord
    headline: str
    outcome: Outcome
    about: str
    packages: tuple[Package, ...]
    tiers: tuple[GateTier, ...]
    notes: tuple[str, ...]
    command: str


def gate_part(record: GateRecord, folder: Path, album: Album) -> GatePart:
    """Everything that a page shows of a gate.

    Args:
        record: the gate.
        folder: where its record lies.
        album: takes its pictures.
    """
    work = record.quality_workload
    longest = max(work.width, work.height)

    def galleries(tier: TierGate) -> tuple[Gallery, ...]:
        arms = ((Arm.CONTROL, tier.control_images), (Arm.TREATMENT, tier.treatment_images))
        found = [
            album.gallery(f"{tier.tier}, {arm.value}", tier.tier, each.images, folder, longest)
            for arm, each in arms
            if each is not None
        ]
        return tuple(each for each in found if each is not None)

    said = ANSWERS[record.answer]
    return GatePart(
        record,
        f"{said[:1].upper()}{said[1:]}.",
        OUTCOMES[record.answer],
        heading(record)[0],
        _packages(record),
        tuple(_tier(each, galleries(each)) for each in record.tiers),
        notes(record),
        record.command or _command(record),
    )


def _tier(tier: TierGate, galleries: tuple[Gallery, ...]) -> GateTier:
    known = {each.metric: each for each in tier.verdicts}
    samples = [each.seconds for block in tier.blocks for each in block.samples]
    scale = _within(samples) if samples else None
    blocks = [_block(n, each, scale) for n, each in enumerate(tier.blocks, start=1)]
    return GateTier(
        tier, verdict_text(tier), known.get(Metric.LATENCY), scale, tuple(blocks), galleries
    )


def _within(samples: list[float]) -> Scale:
    """An axis that the slowest sample does not stretch beyond use."""
    cut = int(len(samples) * 0.01)
    kept = sorted(samples)[cut : len(samples) - cut]
    return spanning(kept)


def _block(number: int, block: BlockRecord, scale: Scale | None) -> BlockRow:
    assert scale is not None or not block.samples
    arms = [block.seconds(Arm.CONTROL), block.seconds(Arm.TREATMENT)]
    found = [density(each, scale) if scale else None for each in arms]
    peak = max((height for each in found for height in each or ()), default=0.0)
    areas = [outline(each, peak) if each and math.isfinite(peak) else "" for each in found]
    medians = [statistics.median(each) if each else None for each in arms]
    places = [scale.place(each) if scale and each is not None else None for each in medians]
    return BlockRow(number, block, areas[0], areas[1], medians[0], medians[1], *places)


def _packages(record: GateRecord) -> tuple[Package, ...]:
    one, other = record.control.packages or {}, record.treatment.packages or {}
    names = sorted({*one, *other}, key=str.lower)
    differ = (name for name in names if one.get(name) != other.get(name))
    return tuple(Package(name, one.get(name), other.get(name)) for name in differ)


def _command(record: GateRecord) -> str:
    """What measures the same, of a record that does not tell what was typed."""
    work = record.latency_workload
    return shlex.join(
        [
            *("perfsuite", "gate", "--control", record.control.spec),
            *("--treatment", record.treatment.spec, "--checkpoint", record.checkpoint),
            *("--tiers", ",".join(record.wanted), "--tolerance", f"{record.policy.tolerance:g}"),
            *("--budget", f"{record.budget_s:g}", "--steps", str(work.steps)),
            *("--size", f"{work.width}x{work.height}", "--batch", str(work.batch_size)),
        ]
    )
