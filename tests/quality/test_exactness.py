"""Does anything that must not change numbers change them beyond rounding?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfsuite.results.verdict import Verdict


@pytest.mark.perf
def test_exactness(perf_exactness_verdict: Verdict, perf_enforce: Callable[[object], None]) -> None:
    perf_enforce(perf_exactness_verdict)
