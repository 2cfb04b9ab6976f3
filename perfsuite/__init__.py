"""perfsuite: performance-regression tests for SDXL diffusion pipelines, as a pytest plugin.

The public names are loaded when they are first asked for, so that having perfsuite installed costs
other pytest runs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfsuite.checkpoints import Checkpoint, register_checkpoint
    from perfsuite.checkpoints.adapter import Adapter
    from perfsuite.errors import PerfsuiteError
    from perfsuite.ladder import Builder, Change, Phase, Tier, build_tier, change, register_tier
    from perfsuite.pipelines import PipelineFamily, register_family
    from perfsuite.results.method import Published
    from perfsuite.workload import Workload

_PUBLIC = {
    "Adapter": "perfsuite.checkpoints.adapter",
    "Change": "perfsuite.ladder",
    "Checkpoint": "perfsuite.checkpoints",
    "Builder": "perfsuite.ladder",
    "PerfsuiteError": "perfsuite.errors",
    "Phase": "perfsuite.ladder",
    "PipelineFamily": "perfsuite.pipelines",
    "Published": "perfsuite.results.method",
    "Tier": "perfsuite.ladder",
    "Workload": "perfsuite.workload",
    "build_tier": "perfsuite.ladder",
    "change": "perfsuite.ladder",
    "register_checkpoint": "perfsuite.checkpoints",
    "register_family": "perfsuite.pipelines",
    "register_tier": "perfsuite.ladder",
}

__all__ = [
    "Adapter",
    "Builder",
    "Change",
    "Checkpoint",
    "PerfsuiteError",
    "Phase",
    "PipelineFamily",
    "Published",
    "Tier",
    "Workload",
    "build_tier",
    "change",
    "register_checkpoint",
    "register_family",
    "register_tier",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'perfsuite' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
