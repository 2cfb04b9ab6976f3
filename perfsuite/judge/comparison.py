"""An estimated change with its uncertainty: what every judgement of a latency rests on."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import special


def quantile(probability: float, degrees_of_freedom: float) -> float:
    """Of Student's t."""
    return float(special.stdtrit(degrees_of_freedom, probability))


@dataclass(frozen=True)
class Comparison:
    """A change in units of log latency; positive is slower.

    Attributes:
        estimate: of the change.
        error: its standard error if nothing has changed.
        degrees_of_freedom: of `error`.
    """

    estimate: float
    error: float
    degrees_of_freedom: float

    @property
    def p_slower(self) -> float:
        """p-value of 'no slower than before'."""
        return float(special.stdtr(self.degrees_of_freedom, -self.estimate / self.error))

    @property
    def p_faster(self) -> float:
        """p-value of 'no faster than before'."""
        return float(special.stdtr(self.degrees_of_freedom, self.estimate / self.error))

    def interval(self, alpha: float) -> tuple[float, float]:
        """Interval of the change, whose ends are each wrong with probability `alpha`."""
        half_width = quantile(1 - alpha, self.degrees_of_freedom) * self.error
        return self.estimate - half_width, self.estimate + half_width
