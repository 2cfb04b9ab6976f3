"""Whether tiers fit an accelerator's memory, found out before any weight is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from perfsuite.errors import PerfsuiteError
from perfsuite.results.deviceless import OVERHEAD_BYTES, StructureRecord, load_structure
from perfsuite.results.support_reasons import NeedsMemory
from perfsuite.session.subject import Subject
from perfsuite.workload import Workloads

_ROOMY_BYTES = 30 << 30
"""Free memory that holds every tier of SDXL at 1024x1024 (17 GB for fp32), so that nothing is
planned."""
_NATIVE_PIXELS = 1024 * 1024
_LONGEST_S = 300.0

Planner = Callable[[Subject, Workloads], StructureRecord | None]
"""Plans the memory of a subject's tiers; None where that cannot be done."""


def without_too_large(subject: Subject, plan: Planner | None = None) -> Subject:
    """A subject in which tiers that need more memory than is free are not supported here.

    A plan knows neither what the allocator cannot use nor what a library takes for itself, and a
    tier that runs out of memory stops nothing but itself. So only what is planned to need more
    than there is stays out, and where no plan can be made nothing does.

    Args:
        subject: what is to be measured.
        plan: makes the plan; None for `plan_apart`.
    """
    free = subject.device.free_memory()
    if free is None:
        return subject
    refused: dict[str, NeedsMemory] = {}
    for work in subject.workloads:
        pixels = work.latency.height * work.latency.width * work.latency.batch_size
        if free >= _ROOMY_BYTES and pixels <= _NATIVE_PIXELS:
            continue
        record = (plan or plan_apart)(subject, work)
        planned = {} if record is None else {each.tier: each for each in record.tiers}
        for name, tier in planned.items():
            needed = tier.memory.peak_bytes + OVERHEAD_BYTES
            if tier.unsupported is None and needed > free:
                refused[name] = NeedsMemory(needed, free)
    return replace(subject, obstacles={**refused, **subject.obstacles}) if refused else subject


def plan_apart(subject: Subject, work: Workloads) -> StructureRecord | None:
    """Plan in a process of its own that sees no accelerator: fake tensors replace what torch knows.

    Args:
        subject: what is to be measured.
        work: one of its workloads.
    """
    names = ",".join(tier.name for tier in subject.supported)
    latency = work.latency
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "perfsuite", "structure", "--format", "json"),
            *("--checkpoint", subject.checkpoint.name, "--tiers", names, "--out", folder),
            *("--size", f"{latency.width}x{latency.height}", "--batch", str(latency.batch_size)),
        ]
        hidden = os.environ | {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
        try:
            subprocess.run(command, env=hidden, capture_output=True, timeout=_LONGEST_S)
            (path,) = Path(folder).glob("structure/**/*.json")
            return load_structure(path)
        except (OSError, ValueError, subprocess.SubprocessError, PerfsuiteError):
            return None
