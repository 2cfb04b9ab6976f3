"""Making one try: a whole gate, whose arms are workers with work planted."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from perfsuite.ab.plan import GatePlan
from perfsuite.ab.session import Line, OpenWorker, Session
from perfsuite.results.ab import Arm, ArmFacts
from perfsuite.selftest.ab.trials import (
    SCHEMA,
    TOLERANCE,
    GateTrial,
    latency_of,
    overhead_of,
    slowdown_of,
    tier_of,
)
from perfsuite.session.preflight import new_run_id

_WORKER = "perfsuite.selftest.ab.worker"


class OpenWorkers(Protocol):
    """Gives a way to start both arms; `perfsuite.cli.gate.open_workers` is one."""

    def __call__(
        self,
        plan: GatePlan,
        control: Path,
        treatment: Path,
        programs: Mapping[Arm, tuple[str, ...]],
    ) -> AbstractContextManager[OpenWorker]:
        """Arms in these interpreters, which run these programs."""


def make_trial(plan: GatePlan, number: int, open_workers: OpenWorkers, line: Line) -> GateTrial:
    """Hold this environment against itself, with what the try's number says planted in one arm.

    Args:
        plan: over all tiers that are tried in turn.
        number: of the try, from 0.
        open_workers: starts the arms.
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
        treatment=ArmFacts(f". with {slowdown:.0%} of extra work"),
        policy=replace(plan.record.policy, tolerance=TOLERANCE, multiplicity=1),
        wanted=(wanted,),
    )
    tiers = tuple(tier for tier in plan.tiers if tier.name == wanted)
    work = replace(plan.work, makes_images=False)
    own = replace(plan, tiers=tiers, record=record, work=work)
    python = Path(sys.executable)
    programs = {Arm.CONTROL: (_WORKER, "0"), Arm.TREATMENT: (_WORKER, str(slowdown))}
    start = time.monotonic()
    with open_workers(own, python, python, programs) as open_worker:
        done = Session(own, open_worker, line).run()
    if done.interrupted:
        raise KeyboardInterrupt
    (tier,) = done.tiers
    return GateTrial(
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
