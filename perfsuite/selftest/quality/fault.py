"""What a planted fault is, and which check should catch it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from perfsuite.selftest.quality.damage import Patch


class Stage(str, enum.Enum):
    """Which check should catch a fault."""

    EXACTNESS = "exactness"
    """fp32 against the fp32 reference, at a very high threshold."""
    LOSSY = "lossy"
    """Reduced precision against the fp32 reference, at calibrated thresholds."""
    LAYERS = "layers"
    """Quantised layers against the same layers at full precision."""
    PICTURES = "pictures"
    """A method's pictures beside the reference method's, and beside its own earlier ones."""
    VISIBLE = "visible"
    """Checks of an image that need no reference."""


@dataclass(frozen=True)
class Fault:
    """A planted fault, or a harmless change.

    Attributes:
        name: short.
        imitates: what it stands for, one line.
        stage: which check should catch it; None if none should.
        patch: plants it, as a context manager that restores.
        source: a report of such a bug as `owner/repository#number`; None where none is cited.
        batch_size: images per call, where the fault needs more than one.
    """

    name: str
    imitates: str
    stage: Stage | None
    patch: Patch
    source: str | None = None
    batch_size: int = 1

    @property
    def url(self) -> str | None:
        """Address of the report."""
        if self.source is None:
            return None
        repository, _, number = self.source.partition("#")
        return f"https://github.com/{repository}/issues/{number}"
