"""What a session knows beforehand of how long it will take."""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import Protocol

from perfsuite.compiler import COMPILE_CACHE
from perfsuite.device import Device
from perfsuite.errors import OutputError
from perfsuite.images.exactness import exactness_workload
from perfsuite.images.references import exactness_shots
from perfsuite.ladder import is_compiled, tiers
from perfsuite.results.machine import Environment
from perfsuite.results.samples import Measurement
from perfsuite.results.session import load_record
from perfsuite.schedule.forecast import Forecast, Sampling, ScoredImages
from perfsuite.schedule.paces import Assumptions, Pace, Paces, TierWork
from perfsuite.session.run import Run
from perfsuite.workload import Workload

COLD_ACCELERATOR = Assumptions(build_s=20, compile_s=1200, exact_compile_s=180)
"""Inductor's max-autotune takes 15 to 25 minutes a tier of SDXL, its default mode some three."""
WARM_ACCELERATOR = Assumptions(build_s=20, compile_s=60, exact_compile_s=30)
COLD_CPU = Assumptions(build_s=1, compile_s=40, exact_compile_s=40)
WARM_CPU = Assumptions(build_s=1, compile_s=10, exact_compile_s=10)


def forecast_of(run: Run) -> Forecast:
    """What is known of a session before its first weight is loaded."""
    work, plan = run.work, run.plan
    exact = exactness_workload(work.quality, run.settings.exactness)
    stored = run.baseline.tiers if run.baseline else {}
    known = {name: Pace(image_s=tier.recorded_latency_s) for name, tier in stored.items()}
    known |= earlier_paces(run.settings.out, run.record, work.latency)
    return Forecast(
        paces=Paces(ladder_work(), assumed(run.device), known),
        sampling=Sampling(plan.budget_s, plan.min_rounds, plan.max_rounds),
        scored=scored_images(work.quality, len(tuple(work.quality.shots())), work.latency),
        exact=scored_images(exact, len(exactness_shots(exact)), work.latency),
        makes_references=run.references is None,
        held_apart=exact != work.quality,
    )


def ladder_work() -> tuple[TierWork, ...]:
    """What is known of every registered tier before it is built."""
    return tuple(
        TierWork(tier.name, is_compiled(tier), tier.published.seconds if tier.published else None)
        for tier in tiers()
    )


def pace_of(measurement: Measurement, *, with_compilation: bool = True) -> Pace:
    """A tier's pace as it was measured.

    Args:
        measurement: of the tier.
        with_compilation: whether what the first image compiled tells of this session: compiled code
            is kept, and the next session finds it.
    """
    image_s = statistics.median(measurement.latency.samples_s)
    compile_s = max(0.0, measurement.warmup_s[0] - image_s) if measurement.warmup_s else None
    return Pace(image_s, measurement.build_s, compile_s if with_compilation else None)


def scored_images(workload: Workload, images: int, timed: Workload) -> ScoredImages:
    """How much images of a workload cost beside a call of the timed one, by steps and pixels."""
    calls = timed.steps * timed.height * timed.width * timed.batch_size
    return ScoredImages(images, workload.steps * workload.height * workload.width / calls)


def assumed(device: Device, *, warm: bool | None = None) -> Assumptions:
    """What is taken for granted of builds.

    Args:
        device: where they run.
        warm: whether compiled code is there; None to look into the compile cache.
    """
    if warm is None:
        cache = Path(os.environ.get(COMPILE_CACHE, ""))
        warm = cache.is_dir() and any(cache.iterdir())
    if device.is_accelerator:
        return WARM_ACCELERATOR if warm else COLD_ACCELERATOR
    return WARM_CPU if warm else COLD_CPU


class Measured(Protocol):
    """What records of sessions and of gates both say of themselves."""

    @property
    def environment(self) -> Environment:
        """Where it was made."""

    @property
    def checkpoint(self) -> str:
        """Name of the checkpoint."""

    @property
    def identity(self) -> str:
        """Of its weights."""


def earlier_paces(out: Path, now: Measured, timed: Workload) -> dict[str, Pace]:
    """Paces of the last session under a folder of records, if it measured the same here.

    Args:
        out: folder of records.
        now: what is about to be measured.
        timed: the latency workload.
    """
    try:
        last = load_record(out / "runs" / "latest.json")
    except OutputError:
        return {}
    same = (last.checkpoint, last.identity) == (now.checkpoint, now.identity)
    if not same or last.environment.hardware.key != now.environment.hardware.key:
        return {}
    measured = {result.tier: result.measurement for result in last.tiers}
    return {
        tier: pace_of(each, with_compilation=False)
        for tier, each in measured.items()
        if each is not None and each.workload == timed.digest
    }
