"""Where weights come from: one registry of checkpoints, and any local folder."""

from perfsuite.checkpoints.registry import (
    Checkpoint,
    Source,
    checkpoint_names,
    find_checkpoint,
    register_checkpoint,
)

__all__ = [
    "Checkpoint",
    "Source",
    "checkpoint_names",
    "find_checkpoint",
    "register_checkpoint",
]
