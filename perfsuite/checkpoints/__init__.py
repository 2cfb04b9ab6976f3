"""Where weights come from: one registry of checkpoints, and any local folder."""

from perfsuite.checkpoints.adapter import Adapter
from perfsuite.checkpoints.registry import (
    LCM,
    SSD,
    Checkpoint,
    Counterpart,
    Source,
    checkpoint_names,
    find_checkpoint,
    register_checkpoint,
)

__all__ = [
    "LCM",
    "SSD",
    "Adapter",
    "Checkpoint",
    "Counterpart",
    "Source",
    "checkpoint_names",
    "find_checkpoint",
    "register_checkpoint",
]
