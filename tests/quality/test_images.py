"""Does any tier make another picture than fp32 does?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfsuite.results.verdict import Verdict


@pytest.mark.perf
def test_images(quality_verdict: Verdict, enforce: Callable[[object], None]) -> None:
    enforce(quality_verdict)
