"""A pytest plugin for rehearsals: the machine counts as quiet, and there is one more cheap tier.

On a busy machine a night is rightly `invalid`; what is rehearsed is what a night remembers.
"""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    from perfsuite import Builder, Tier, change, register_tier
    from perfsuite.measure import sampling
    from perfsuite.measure.conditions import FakeWatch

    setattr(sampling, "watch_for", lambda device: FakeWatch())  # noqa: B010 (mypy)

    @change(exact=True)
    def slice_attention(builder: Builder) -> None:
        """Attention in slices."""
        builder.pipeline.enable_attention_slicing()

    register_tier(Tier("sliced", parent="fp32", changes=(slice_attention,), why="less memory"))
