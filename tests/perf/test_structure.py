"""The structure gate: what every tier asks of torch, held against its baseline; free of noise."""

from __future__ import annotations

from collections.abc import Callable

from perfsuite.results.verdict import Verdict


def test_structure(
    perf_structure_verdict: Verdict, perf_enforce: Callable[[Verdict], None]
) -> None:
    """Fails if the tier asks for more, for less, or for something else."""
    perf_enforce(perf_structure_verdict)
