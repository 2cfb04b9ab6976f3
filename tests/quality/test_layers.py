"""Does every quantised layer still compute what the layer at full precision does?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfsuite.results.verdict import Verdict


@pytest.mark.perf
def test_layers(perf_layers_verdict: Verdict, perf_enforce: Callable[[object], None]) -> None:
    perf_enforce(perf_layers_verdict)
