"""Does any tier make another picture than fp32 does?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfsuite.results.verdict import Verdict


@pytest.mark.perf
def test_images(perf_quality_verdict: Verdict, perf_enforce: Callable[[object], None]) -> None:
    perf_enforce(perf_quality_verdict)
