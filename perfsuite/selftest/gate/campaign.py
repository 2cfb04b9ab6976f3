"""Making one try: a whole gate, whose sides are workers with work planted."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from perfsuite.gate.plan import GatePlan
from perfsuite.gate.record import SideFacts
from perfsuite.gate.session import Line, OpenSide, Session
from perfsuite.gate.side import Name
from perfsuite.prepare import new_run_id
from perfsuite.selftest.gate.tries import (
    SCHEMA,
    TOLERANCE,
    GateTry,
    latency_of,
    overhead_of,
    slowdown_of,
    tier_of,
)

_WORKER = "perfsuite.selftest.gate.worker"


class OpenWorkers(Protocol):
    """Gives a way to start both sides; `perfsuite.cli_gate.open_workers` is one."""

    def __call__(
        self,
        plan: GatePlan,
        control: Path,
        treatment: Path,
        programs: Mapping[Name, tuple[str, ...]],
    ) -> AbstractContextManager[OpenSide]:
        """Sides in these interpreters, which run these programs."""


def make_try(plan: GatePlan, number: int, open_workers: OpenWorkers, line: Line) -> GateTry:
    """Hold this environment against itself, with what the try's number says planted in one side.

    Args:
        plan: over all tiers that are tried in turn.
        number: of the try, from 0.
        open_workers: starts the sides.
        line: told of every step.

    Raises:
        EnvironmentBroken: this environment cannot work.
        KeyboardInterrupt: it was stopped.
    """
    slowdown = slowdown_of(number)
    wanted = tier_of(number, [tier.name for tier in plan.tiers])
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    record = replace(
        plan.record,
        gate_id=new_run_id(),
        environment=replace(plan.record.environment, recorded_at=now),
        treatment=SideFacts(f". with {slowdown:.0%} of extra work"),
        policy=replace(plan.record.policy, tolerance=TOLERANCE, family=1),
        wanted=(wanted,),
    )
    tiers = tuple(tier for tier in plan.tiers if tier.name == wanted)
    work = replace(plan.work, makes_images=False)
    own = replace(plan, tiers=tiers, record=record, work=work)
    python = Path(sys.executable)
    programs = {Name.CONTROL: (_WORKER, "0"), Name.TREATMENT: (_WORKER, str(slowdown))}
    start = time.monotonic()
    with open_workers(own, python, python, programs) as open_side:
        done = Session(own, open_side, line).run()
    if done.interrupted:
        raise KeyboardInterrupt
    (tier,) = done.tiers
    return GateTry(
        SCHEMA,
        number,
        slowdown,
        TOLERANCE,
        wanted,
        record.environment,
        latency_of(tier),
        tier.outcome,
        tier.spent_s,
        time.monotonic() - start,
        overhead_of(tier.usable),
        done.gate_id,
    )
