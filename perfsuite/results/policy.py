"""How strict a judgement is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Assumption:
    """What is taken for granted of a machine before any of its runs is known.

    Attributes:
        spread: standard deviation between runs of log latency.
        weight: how many observed degrees of freedom that counts for.
    """

    spread: float = 0.02
    weight: int = 4


@dataclass(frozen=True)
class Policy:
    """How strict the gate is.

    Attributes:
        tolerance: slowdown that nobody minds, as a fraction.
        false_alarm_rate: probability that *any* of a family's verdicts on unchanged code is
            `regressed`.
        multiplicity: how many verdicts are judged together.
        assumed: spread between runs before any is known.
    """

    tolerance: float = 0.05
    false_alarm_rate: float = 0.01
    multiplicity: int = 1
    assumed: Assumption = field(default_factory=Assumption)

    @property
    def alpha(self) -> float:
        """Level of one verdict before any other of its family is refuted."""
        return self.false_alarm_rate / self.multiplicity


@dataclass(frozen=True)
class PairedPolicy:
    """How strict the gate is.

    Attributes:
        tolerance: slowdown that nobody minds, as a fraction.
        false_alarm_rate: probability that *any* of a family's verdicts on equal arms is
            `regressed`, and that any that is slower by the tolerance is settled as `passed`.
        multiplicity: how many verdicts are judged together.
        blocks: starts of both arms at the most; a look follows each from the second on.
        process_spread: standard deviation of log(treatment / control) between starts of equal code
            that is assumed before any is known. Measured on one machine: four starts of equal code
            were within 0.8 % of each other.
        process_weight: how many observed degrees of freedom that assumption counts for.
    """

    tolerance: float = 0.05
    false_alarm_rate: float = 0.01
    multiplicity: int = 1
    blocks: int = 4
    process_spread: float = 0.008
    process_weight: int = 4

    @property
    def looks(self) -> int:
        """Looks at the most."""
        return self.blocks - 1

    @property
    def alpha(self) -> float:
        """False-alarm rate of one verdict."""
        return self.false_alarm_rate / self.multiplicity

    @property
    def look_alpha(self) -> float:
        """False-alarm rate of one look."""
        return self.alpha / self.looks

    @property
    def threshold(self) -> float:
        """The tolerance in units of log latency."""
        return math.log1p(self.tolerance)
