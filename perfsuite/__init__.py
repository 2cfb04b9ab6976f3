"""perfsuite: performance-regression tests for SDXL diffusion pipelines, as a pytest plugin.

The public names are loaded when they are first asked for, so that having perfsuite installed costs
other pytest runs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "Change": "perfsuite.ladder",
    "Checkpoint": "perfsuite.checkpoints",
    "Builder": "perfsuite.ladder",
    "PerfsuiteError": "perfsuite.errors",
    "Phase": "perfsuite.ladder",
    "Tier": "perfsuite.ladder",
    "Workload": "perfsuite.workload",
    "build_tier": "perfsuite.ladder",
    "change": "perfsuite.ladder",
    "register_checkpoint": "perfsuite.checkpoints",
    "register_tier": "perfsuite.ladder",
}

__all__ = [
    "Builder",
    "Change",
    "Checkpoint",
    "PerfsuiteError",
    "Phase",
    "Tier",
    "Workload",
    "build_tier",
    "change",
    "register_checkpoint",
    "register_tier",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'perfsuite' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
