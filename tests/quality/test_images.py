"""Does any tier make another picture than fp32 does?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfsuite.results.images import QualityVerdict


@pytest.mark.perf
def test_images(
    perf_quality_verdict: QualityVerdict, perf_enforce: Callable[[object], None]
) -> None:
    perf_enforce(perf_quality_verdict)
