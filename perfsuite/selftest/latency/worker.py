"""One trial in a process of its own; arguments: folder of the plan, number, file to write."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.errors import OutputError, PerfsuiteError
from perfsuite.libraries import import_libraries, quietly
from perfsuite.selftest.latency.trials import SCHEMA, PlantedSamples, Trial, TrialPlan
from perfsuite.settings import resolve_settings
from perfsuite.storage import read_json, write_json

if TYPE_CHECKING:
    from perfsuite.ladder import BuiltTier


def measure_trial(plan: TrialPlan, number: int, out: Path) -> Trial:
    """Measure what a plan says of a trial, in this process.

    Args:
        plan: of the self-test.
        number: of the trial, from 0.
        out: folder with the compile cache.

    Raises:
        PerfsuiteError: something that it needs is not there.
    """
    start = time.monotonic()
    import_libraries()
    from perfsuite.session.preflight import prepare_run

    given: dict[str, Any] = {
        "checkpoint": plan.checkpoint,
        "tiers": ",".join(plan.tiers),
        "device": plan.device,
        "threads": plan.threads,
        "out": str(out),
    }
    run = prepare_run(resolve_settings(given, Path.cwd()), Path.cwd(), scores_images=False)
    samples: list[PlantedSamples] = []
    for tier in run.tiers:
        with run.build(tier) as built, quietly():
            samples += _measure(built, plan, number)
    return Trial(SCHEMA, number, run.environment, time.monotonic() - start, tuple(samples))


def _measure(built: BuiltTier, plan: TrialPlan, number: int) -> list[PlantedSamples]:
    """A tier as it is, then with each slowdown, in an order that differs between trials."""
    from perfsuite.images.generate import run
    from perfsuite.measure import SamplingPlan, measure_tier
    from perfsuite.selftest.latency.extra_work import ExtraWork

    workload = built.latency
    shot = next(workload.shots())
    slowdowns = list(plan.slowdowns) if plan.plants(number) else []
    random.Random(number).shuffle(slowdowns)
    work = ExtraWork(built.dtype, built.device)
    taken = []
    with work.inside(built.pipeline):
        unit = 1.0
        if slowdowns:
            unit = work.calibrate(lambda: run(built.pipeline, workload, shot))
        for slowdown in (0.0, *slowdowns):
            seconds = plan.planted_s if slowdown else plan.unchanged_s
            work.units_per_call = slowdown / unit
            measured = measure_tier(built, SamplingPlan(budget_s=seconds))
            taken.append(
                PlantedSamples(
                    built.tier.name,
                    slowdown,
                    measured.latency,
                    measured.sampling_s,
                    measured.conditions,
                )
            )
    return taken


def main(folder: Path, number: int, target: Path) -> None:
    """Measure one trial of the self-test in a folder, and keep it in a file."""
    hint = "start the self-test with perfsuite selftest --full"
    plan = read_json(folder / "plan.json", TrialPlan, schema=SCHEMA, error=OutputError, hint=hint)
    write_json(target, measure_trial(plan, number, folder.parent.parent))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    except PerfsuiteError as error:
        sys.exit(str(error))
