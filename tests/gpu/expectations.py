"""What a run on a real device should show, beside verdicts: graphs, probe, memory, sensors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from perfsuite.errors import OutputError
from perfsuite.results.deviceless import load_structure
from perfsuite.results.samples import Measurement
from perfsuite.results.session import RunRecord, TierResult, load_record

COMPILED = frozenset({"compile", "fused-qkv", "int8"})
_LONGEST_PROBE_SHARE = 0.15
_MEMORY_GAP = 0.1
"""By which a peak may differ from its plan, which knows neither allocator nor workspaces."""
_FEWEST_GRAPHS, _MOST_GRAPHS = 2, 12
"""One for the denoiser and one for the decoder, or a few parts of each; not one per step."""


def check_run(out: Path) -> list[str]:
    """Every expectation with what was found: 'ok: …' or 'NOT AS EXPECTED: …'.

    Args:
        out: folder of the day, with the ladder's record and the plan of its memory.
    """
    try:
        record = load_record(out / "runs" / "latest.json")
    except OutputError as error:
        return [f"NOT AS EXPECTED: no record of the ladder ({error.problem})"]
    planned = _planned(out)
    return [
        line
        for result in record.tiers
        for line in (*_check_tier(record, result), *_check_memory(record, result, planned))
    ]


def _planned(out: Path) -> dict[str, int]:
    """Planned peaks in bytes, by tier; none where there is no plan."""
    paths = sorted((out / "structure").glob("**/*.json"))
    if not paths:
        return {}
    return {each.tier: each.memory.peak_bytes for each in load_structure(paths[-1]).tiers}


def _check_memory(record: RunRecord, result: TierResult, planned: dict[str, int]) -> Iterator[str]:
    """The plan against the truth, on a device."""
    peak = result.measurement.memory.peak_bytes if result.measurement else None
    if record.environment.hardware.kind == "cpu" or peak is None:
        return
    plan = planned.get(result.tier)
    if not plan:
        yield _said(False, result, f"peak {peak / 1e9:.2f} GB, not planned")
        return
    gap = peak / plan - 1
    said = f"peak {peak / 1e9:.2f} GB, planned {plan / 1e9:.2f} GB ({gap:+.1%})"
    yield _said(abs(gap) <= _MEMORY_GAP, result, said)


def _check_tier(record: RunRecord, result: TierResult) -> Iterator[str]:
    measured = result.measurement
    if measured is None:
        yield _said(False, result, f"nothing was measured ({result.error or 'no error'})")
        return
    on_device = record.environment.hardware.kind != "cpu"
    yield from _check_graphs(result, measured, on_device=on_device)
    if not on_device:
        return
    share = measured.probe_share
    yield _said(share <= _LONGEST_PROBE_SHARE, result, f"the probe took {share:.1%} of sampling")
    probe_s = measured.probe_repeats * measured.latency.probe_s[0]
    graph = measured.latency.probe.endswith(" graph")
    yield _said(graph, result, f"probe '{measured.latency.probe}', {probe_s:.2f} s before a sample")
    launching = measured.host_share
    yield _said(
        launching is not None, result, f"launching takes {launching or 0:.0%} of a step's time"
    )
    unknown = ", ".join(f"{each.what} ({each.reason})" for each in measured.conditions.not_known)
    yield _said(not unknown, result, f"not known: {unknown or 'nothing'}")


def _check_graphs(result: TierResult, measured: Measurement, *, on_device: bool) -> Iterator[str]:
    late = measured.recompiles + measured.recordings
    yield _said(late == 0, result, f"{late} graphs compiled or recorded while sampling")
    if result.tier not in COMPILED or not on_device:
        return
    kinds = [each.what for each in measured.warmup_graphs]
    in_order = kinds[:1] == ["compiled"] and set(kinds[3:]) <= {"replayed"}
    yield _said(in_order, result, f"warm-up images: {', '.join(kinds)}")
    held = measured.warmup_graphs[-1].held
    few = _FEWEST_GRAPHS <= held <= _MOST_GRAPHS
    yield _said(few, result, f"{held} device graphs held for denoiser and decoder")
    silent = "; ".join(each.message for each in measured.findings)
    yield _said(not silent, result, f"inductor warned of: {silent or 'nothing'}")


def _said(holds: bool, result: TierResult, what: str) -> str:
    return f"{'ok' if holds else 'NOT AS EXPECTED'}: {result.label}: {what}"
