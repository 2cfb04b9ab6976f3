"""The structure of CUDA code for people: what every tier consists of, and what has changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perfsuite.report.numbers import ABSENT, format_bytes
from perfsuite.report.table import Block, Column, Document, Heading, Lines, Row, Table
from perfsuite.results.deviceless import (
    CARDS_GIB,
    OVERHEAD_BYTES,
    ArchKernels,
    CompiledPart,
    MemoryPlan,
    StructureRecord,
    TierStructure,
)
from perfsuite.results.deviceless_comparison import (
    ArchComparison,
    StructureComparison,
    StructureOutcome,
    TierComparison,
)
from perfsuite.results.structure import CountDifference, common_path

LONGEST = 12
"""Differences of one kind that are named; the record holds them all."""
_TIERS = (
    Column("tier", is_text=True),
    Column("operators"),
    Column("SDPA", sheds=1),
    Column("FLOPs", sheds=2),
    Column("weights", sheds=4),
    Column("results", sheds=3),
    Column("peak"),
    Column("card"),
    Column("against", is_text=True),
)
_KERNELS = (
    Column("tier", is_text=True),
    Column("arch", is_text=True),
    Column("part", is_text=True),
    Column("graphs", sheds=3),
    Column("kernels"),
    Column("launches"),
    Column("extern"),
    Column("registers", sheds=1),
    Column("shared", sheds=2),
    Column("spilling"),
)
_COUNTED = (Column("extern kernel", is_text=True), Column("calls"))
_DIFFERENCES = (
    Column("module", is_text=True),
    Column("what", is_text=True),
    Column("before"),
    Column("now"),
    Column("change"),
)
_SAID = {
    StructureOutcome.SAME: "Nothing has changed.",
    StructureOutcome.REVIEW: "It differs between the versions: look at what is named below.",
    StructureOutcome.CHANGED: "The same versions gave something else before: a change.",
    StructureOutcome.NO_EXPECTATION: (
        "Not all of it has an expectation: perfsuite structure --update keeps this one."
    ),
    StructureOutcome.UNSUPPORTED: "This torch is not supported in full; nothing is said of it.",
}


def structure_document(record: StructureRecord, comparison: StructureComparison) -> Document:
    """All tiers in one table, then what differs, worst first, then the kernels."""
    blocks: list[Block] = [Heading(_title(record)), Lines((_subtitle(record),), dim=True)]
    blocks += [_tier_table(record, comparison), Lines((_legend(record),), dim=True)]
    blocks.append(Lines((_verdict(comparison), *_sentences(comparison)), bold=True))
    blocks += _findings(record)
    if any(tier.kernels for tier in record.tiers):
        blocks += [Heading("Kernels", 2), _kernel_table(record)]
        blocks += _extern_tables(record)
    for tier in comparison.tiers:
        blocks += _differences(tier)
    blocks.append(Lines(record.assumptions, dim=True))
    return Document(tuple(blocks))


def _title(record: StructureRecord) -> str:
    work = record.workload
    return f"Structure of {record.checkpoint}, {work.width}x{work.height}, batch {work.batch_size}"


def _subtitle(record: StructureRecord) -> str:
    tritons = {arch.triton for tier in record.tiers for arch in tier.kernels}
    packages = [*record.packages.items(), *(("triton", each) for each in sorted(tritons))]
    return ", ".join(f"{name} {version}" for name, version in packages)


def _tier_table(record: StructureRecord, comparison: StructureComparison) -> Table:
    outcomes = {each.tier: each.outcome for each in comparison.tiers}
    return Table(_TIERS, tuple(_tier_row(each, outcomes[each.tier]) for each in record.tiers))


def _tier_row(tier: TierStructure, outcome: StructureOutcome) -> Row:
    if tier.unsupported is not None:
        return Row((tier.tier, *[ABSENT] * 7, outcome.value))
    step, memory = tier.operators.of(tier.denoiser), tier.memory
    denoiser = memory.part(tier.denoiser)
    return Row(
        (
            tier.tier,
            str(step.operators),
            str(step.sdpa),
            _flops(step.total_flops),
            format_bytes(denoiser.weight_bytes if denoiser else None),
            format_bytes(denoiser.peak_activation_bytes if denoiser else None),
            format_bytes(memory.peak_bytes),
            _smallest_card(memory),
            outcome.value,
        )
    )


def _flops(count: int) -> str:
    return f"{count / 1e12:.3f} T" if count >= 1e11 else f"{count / 1e9:.3f} G"


def _smallest_card(memory: MemoryPlan) -> str:
    fitting = (gib for gib in CARDS_GIB if memory.fits(gib << 30))
    card = next(fitting, None)
    return f"{card} GiB" if card else f"> {CARDS_GIB[-1]} GiB"


def _legend(record: StructureRecord) -> str:
    names = sorted({tier.denoiser for tier in record.tiers} - {""})
    return (
        f"operators to results: one step of {', '.join(names)}, before anything is compiled; peak: "
        "all weights and the largest part's results; card: the smallest of "
        f"{', '.join(map(str, CARDS_GIB))} GiB that holds it beside {format_bytes(OVERHEAD_BYTES)}"
    )


def _verdict(comparison: StructureComparison) -> str:
    said = _SAID[comparison.outcome]
    if comparison.against is None:
        return said
    versions = ", ".join(
        f"{each.package} {each.before or 'none'} → {each.now or 'none'}"
        for each in comparison.versions
    )
    return f"{said} Against {comparison.against}{f' ({versions})' if versions else ''}."


def _sentences(comparison: StructureComparison) -> Iterable[str]:
    """What differs, in words."""
    for tier in comparison.tiers:
        yield from _sentence(tier.tier, "operator", tier.operators)
        for arch in tier.archs:
            who = f"{tier.tier}, {arch.arch}"
            yield from _sentence(who, "launch of generated kernels", arch.triton)
            yield from _sentence(who, "call of other kernels", arch.extern)


def _sentence(who: str, what: str, found: Sequence[CountDifference]) -> Iterable[str]:
    if not found:
        return
    change = sum(each.change for each in found)
    noun, _, of = what.partition(" ")
    several = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    named = " ".join((noun if abs(change) == 1 else several, of)).strip()
    where = common_path(each.module for each in found)
    place = f"all in {where}" if where else "in several parts"
    if change:
        yield f"{who}: {abs(change)} {'more' if change > 0 else 'fewer'} {named}, {place}."
    else:
        yield f"{who}: as many {named}, other ones, {place}."


def _findings(record: StructureRecord) -> list[Block]:
    lines = [
        f"{tier.tier}: {finding.message}" for tier in record.tiers for finding in tier.findings
    ]
    lines += [
        f"{tier.tier}: unsupported: {tier.unsupported}" for tier in record.tiers if tier.unsupported
    ]
    lines += [
        f"{tier.tier}, {arch.arch}: unsupported: {arch.unsupported}"
        for tier in record.tiers
        for arch in tier.kernels
        if arch.unsupported
    ]
    return [Lines(tuple(lines))] if lines else []


def _kernel_table(record: StructureRecord) -> Table:
    rows = [
        _kernel_row(tier.tier, arch, part)
        for tier in record.tiers
        for arch in tier.kernels
        for part in arch.parts
    ]
    return Table(_KERNELS, tuple(rows))


def _kernel_row(tier: str, arch: ArchKernels, part: CompiledPart) -> Row:
    used = part.resources
    return Row(
        (
            tier,
            arch.arch,
            part.part,
            str(part.graphs),
            str(len(used)),
            str(part.launches),
            str(sum(part.extern_calls.values())),
            str(max((each.registers for each in used), default=0)),
            f"{max((each.shared_bytes for each in used), default=0)} B",
            str(sum(each.spilled_bytes > 0 for each in used)),
        )
    )


def _extern_tables(record: StructureRecord) -> list[Block]:
    blocks: list[Block] = []
    for tier in record.tiers:
        for arch in tier.kernels:
            for part in arch.parts:
                rows = tuple(Row((name, str(n))) for name, n in part.extern_calls.most_common())
                blocks.append(Heading(f"{tier.tier}, {arch.arch}, {part.part}", 3))
                blocks.append(Table(_COUNTED, rows))
    return blocks


def _differences(tier: TierComparison) -> list[Block]:
    blocks: list[Block] = []
    for heading, found in (
        (f"{tier.tier}: what differs", tier.totals),
        (f"{tier.tier}: operators that differ", tier.operators),
    ):
        blocks += _difference_table(heading, found)
    for arch in tier.archs:
        blocks += _arch_differences(tier.tier, arch)
    return blocks


def _arch_differences(tier: str, arch: ArchComparison) -> list[Block]:
    blocks: list[Block] = []
    for heading, found in (
        (f"{tier}, {arch.arch}: what differs", arch.totals),
        (f"{tier}, {arch.arch}: generated kernels that differ", arch.triton),
        (f"{tier}, {arch.arch}: extern kernels that differ", arch.extern),
    ):
        blocks += _difference_table(heading, found)
    return blocks


def _difference_table(heading: str, found: Sequence[CountDifference]) -> list[Block]:
    if not found:
        return []
    blocks: list[Block] = [
        Heading(heading, 2),
        Table(_DIFFERENCES, tuple(_difference_rows(found[:LONGEST]))),
    ]
    if len(found) > LONGEST:
        left = found[LONGEST:]
        change = sum(each.change for each in left)
        blocks.append(Lines((f"and {len(left)} more, {change:+d} together",), dim=True))
    return blocks


def _difference_rows(found: Iterable[CountDifference]) -> Iterable[Row]:
    for each in found:
        yield Row((each.module, each.name, f"{each.before}", f"{each.now}", f"{each.change:+d}"))
