"""Does anything that must not change numbers change them beyond rounding?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfsuite.results.verdict import Verdict


@pytest.mark.perf
def test_exactness(exactness_verdict: Verdict, enforce: Callable[[object], None]) -> None:
    enforce(exactness_verdict)
