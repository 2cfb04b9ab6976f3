"""Is any tier slower than its baseline?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfsuite.results.verdict import LatencyVerdict


@pytest.mark.perf
def test_latency(latency_verdict: LatencyVerdict, enforce: Callable[[object], None]) -> None:
    enforce(latency_verdict)
