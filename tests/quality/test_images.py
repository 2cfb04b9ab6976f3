"""Does any tier make another picture than fp32 does?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfsuite.results.images import QualityVerdict


@pytest.mark.perf
def test_images(quality_verdict: QualityVerdict, enforce: Callable[[object], None]) -> None:
    enforce(quality_verdict)
