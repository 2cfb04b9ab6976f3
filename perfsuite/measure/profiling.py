"""A profile of one image on demand, in a pass of its own: a chrome trace, and what is heaviest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

from perfsuite.errors import OutputError
from perfsuite.images.generate import run
from perfsuite.ladder import BuiltTier
from perfsuite.results.profile import HeavyOperator, TierProfile
from perfsuite.storage import why

HEAVIEST = 10


def profile_tier(built: BuiltTier, trace: Path) -> TierProfile:
    """Profile one image of the latency workload.

    Args:
        built: the tier, warm.
        trace: file for the chrome trace; its folder is made.

    Raises:
        OutputError: it cannot be written.
    """
    workload = built.latency
    on_device = built.device.is_accelerator
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_device else [])]
    with profile(activities=activities) as profiler:
        run(built.pipeline, workload, next(workload.shots()))
        built.device.synchronize()
    try:
        trace.parent.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(trace))
    except (OSError, RuntimeError) as error:
        problem = why(error) if isinstance(error, OSError) else str(error)
        raise OutputError(
            f"{trace} cannot be written ({problem})", hint="name another folder: --perf-out"
        ) from None
    return TierProfile(str(trace), _heaviest(profiler.key_averages(), on_device=on_device))


def _heaviest(averages: Any, *, on_device: bool) -> tuple[HeavyOperator, ...]:
    attribute = "self_device_time_total" if on_device else "self_cpu_time_total"
    found = [(getattr(each, attribute) / 1e6, each) for each in averages]
    all_s = sum(seconds for seconds, _ in found) or 1.0
    worst = sorted(found, key=lambda each: -each[0])[:HEAVIEST]
    return tuple(
        HeavyOperator(each.key, int(each.count), seconds, seconds / all_s)
        for seconds, each in worst
    )
