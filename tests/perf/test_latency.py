"""Is any tier slower than its baseline?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfsuite.results.verdict import Verdict


@pytest.mark.perf
def test_latency(perf_latency_verdict: Verdict, perf_enforce: Callable[[object], None]) -> None:
    perf_enforce(perf_latency_verdict)
