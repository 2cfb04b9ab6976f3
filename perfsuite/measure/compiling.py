"""What inductor does without saying so aloud: findings of a tier that compiles."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

import torch

from perfsuite.libraries import overheard
from perfsuite.results.method import Finding

_MOST = 4
"""Different warnings that are told one by one."""
_LONGEST = 160


@contextlib.contextmanager
def compiler_findings() -> Iterator[list[Finding]]:
    """Listen to inductor while images are compiled.

    Yields:
        An empty list, which is filled at the end: how often device graphs (CUDA graphs) were
        skipped, and what it warned of: too few multiprocessors for its templates, choices that
        failed when they were tuned.
    """
    found: list[Finding] = []
    before = skipped_graphs()
    with overheard("torch._inductor") as heard:
        yield found
    skipped = skipped_graphs() - before
    if skipped:
        found.append(Finding("device graphs", f"inductor skipped device graphs {skipped} times"))
    counted = Counter(_shortened(line) for line in heard if line)
    for line, times in counted.most_common(_MOST):
        often = f" ({times} times)" if times > 1 else ""
        found.append(Finding("inductor", f"inductor: {line}{often}"))
    if len(counted) > _MOST:
        found.append(Finding("inductor", f"inductor: {len(counted) - _MOST} more warnings"))


def skipped_graphs() -> int:
    """How often inductor has gone without a device graph in this process so far."""
    return int(torch._dynamo.utils.counters["inductor"]["cudagraph_skips"])


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
