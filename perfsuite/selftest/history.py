"""What a self-test adds to the history: how often unchanged code alarms, and what is found."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from perfsuite.environment import host_name
from perfsuite.results.history import (
    Entry,
    Fact,
    Kind,
    PastRun,
    Quantity,
    Reading,
    SeriesKey,
    Unit,
)
from perfsuite.results.machine import Environment
from perfsuite.results.verdict import Outcome
from perfsuite.selftest.experiment import Rate
from perfsuite.selftest.latency.campaign import LatencyReport
from perfsuite.session.preflight import new_run_id

FALSE_ALARMS = Quantity("false alarms", Unit.FRACTION)


@dataclass(frozen=True)
class Shown:
    """One rate that a self-test found.

    Attributes:
        of: what was tried, for people: a setting of the gate, or a kind of faults.
        rate: how often it alarmed.
        slowdown: that was planted, as a fraction; 0 for unchanged code; None for faults of images.
    """

    of: str
    rate: Rate
    slowdown: float | None

    @property
    def quantity(self) -> Quantity:
        """False alarms of unchanged code, else what was found, of which less is worse."""
        if self.slowdown == 0:
            return FALSE_ALARMS
        name = "faults found" if self.slowdown is None else f"+{self.slowdown:.1%} found"
        return Quantity(name, Unit.FRACTION, less_is_worse=True)


def rates_of_latency(report: LatencyReport) -> list[Shown]:
    """Of each setting of the gate."""
    return [
        Shown(
            f"tolerance {gate.tolerance:.1%}, {gate.baseline_runs} runs",
            gate.rate(slowdown, Outcome.REGRESSED),
            slowdown,
        )
        for gate in report.gates
        for slowdown in (0.0, *report.plan.slowdowns)
    ]


def entry_of_selftest(
    name: str, report: object, environment: Environment, checkpoint: str, shown: Iterable[Shown]
) -> Entry:
    """A self-test as it is appended.

    Args:
        name: of the self-test: `latency`, `gate` or `quality`.
        report: all of it, as it is kept in a file.
        environment: where it was made.
        checkpoint: what was measured.
        shown: its rates; those of nothing are left out.
    """
    rates = [each for each in shown if each.rate.total]
    alarms = sum(each.rate.hits for each in rates if each.slowdown == 0)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    run = PastRun(
        run_id=new_run_id(),
        kind=Kind.SELFTEST,
        at=now,
        hardware_key=environment.hardware.key,
        hardware=environment.hardware.model,
        checkpoint=checkpoint,
        title=f"self-test: {name}",
        host=host_name(),
        versions={
            **environment.packages,
            "python": environment.python,
            "system": environment.system,
            "revision": environment.git_revision or "unknown",
        },
        outcome=Outcome.REGRESSED if alarms else Outcome.PASSED,
    )
    readings = tuple(
        Reading(
            SeriesKey(
                Kind.SELFTEST,
                each.of,
                each.quantity,
                run.hardware_key,
                checkpoint,
                facts=(Fact("self-test", name),),
            ),
            each.rate.share,
            (each.rate.low, each.rate.high),
        )
        for each in rates
    )
    return Entry(run, readings, msgspec.json.encode(report))
