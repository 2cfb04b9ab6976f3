"""A night: what regressed in its sessions, and whether one more run in a fresh process agrees."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from perfsuite.results.machine import Hardware
from perfsuite.results.verdict import Metric, Outcome, Verdict


class Confirmation(str, enum.Enum):
    """What the second run says of a regression."""

    CONFIRMED = "confirmed"
    REFUTED = "not confirmed"
    UNSETTLED = "not settled"
    """The second run was noisy, spoilt or broken in another way."""
    MISSING = "seen once"
    """There was no second run."""


@dataclass(frozen=True)
class Regression:
    """One metric of one tier that became worse, or a tier that raised an error.

    Attributes:
        hardware: where.
        checkpoint: of which weights.
        label: names the tier and its workload.
        run_id: of the session that found it.
        metric: what became worse; None for an error.
        first: verdict of that session; None for an error.
        second: verdict of the run that was to confirm it; None without one.
        error: first line of what stopped the tier; empty for a regression.
        confirmation: what the second run says.
    """

    hardware: Hardware
    checkpoint: str
    label: str
    run_id: str
    metric: Metric | None
    first: Verdict | None
    second: Verdict | None
    error: str
    confirmation: Confirmation


@dataclass(frozen=True)
class Night:
    """All sessions of a night.

    Attributes:
        regressions: worst first: confirmed ones, then by how much they grew.
        sessions: how many there were, runs that only confirm left out.
        unsettled: tiers that came to no verdict, by name, with the outcome.
        incomplete: sessions that were cut short, by run.
        judged: verdicts that passed or improved.
    """

    regressions: tuple[Regression, ...]
    sessions: int
    unsettled: tuple[tuple[str, Outcome], ...]
    incomplete: tuple[str, ...]
    judged: int

    @property
    def confirmed(self) -> tuple[Regression, ...]:
        """What an issue is opened for."""
        kind = Confirmation.CONFIRMED
        return tuple(each for each in self.regressions if each.confirmation is kind)

    @property
    def is_green(self) -> bool:
        """Whether everything was judged and nothing is worse: what closes an issue."""
        held = (Confirmation.REFUTED,)
        doubted = [each for each in self.regressions if each.confirmation not in held]
        return self.judged > 0 and not (doubted or self.unsettled or self.incomplete)
