"""Is any tier slower than its baseline?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfsuite.results.verdict import Verdict


@pytest.mark.perf
def test_latency(latency_verdict: Verdict, enforce: Callable[[object], None]) -> None:
    enforce(latency_verdict)
