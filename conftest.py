"""perfsuite's own tests need pytester, leave out what takes minutes, and skip what needs a GPU."""

from __future__ import annotations

import re

import pytest

pytest_plugins = ["pytester"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `slow` run only if `-m` names it; those marked `cuda` on an accelerator only."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow and not re.search(r"\bslow\b", config.getoption("markexpr") or ""):
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    needing = [item for item in items if item.get_closest_marker("cuda")]
    if needing and not _has_accelerator():
        for item in needing:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device, this machine has none"))


def _has_accelerator() -> bool:
    import torch

    return torch.cuda.is_available()
