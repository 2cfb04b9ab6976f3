"""A pytest plugin for rehearsals: the machine counts as quiet, and there is one more cheap tier.

On a busy machine a night is rightly `invalid` or `inconclusive`; what is rehearsed is what a night
remembers. So images are made, and their clock is one that always tells nearly the same.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    from perfsuite import Builder, Tier, change, register_tier
    from perfsuite.device.cpu import CpuDevice
    from perfsuite.measure import sampling
    from perfsuite.measure.conditions import FakeWatch

    setattr(sampling, "watch_for", lambda device: FakeWatch())  # noqa: B010 (mypy)

    numbers = count()

    def timed(_: CpuDevice, work: Callable[[], Any]) -> tuple[float, Any]:
        return 0.1 + 0.001 * (next(numbers) * 7 % 5), work()

    setattr(CpuDevice, "timed", timed)  # noqa: B010 (mypy)

    @change(exact=True)
    def slice_attention(builder: Builder) -> None:
        """Attention in slices."""
        builder.pipeline.enable_attention_slicing()

    register_tier(Tier("sliced", parent="fp32", changes=(slice_attention,), why="less memory"))
