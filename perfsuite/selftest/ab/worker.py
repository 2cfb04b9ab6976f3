"""An arm with work planted: `python -m perfsuite.selftest.ab.worker SLOWDOWN`.

Like the gate's own worker this module imports next to nothing until the pipes are safe.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from perfsuite.workers.main import main

if TYPE_CHECKING:
    from perfsuite.workers.server import Workbench

_CALIBRATION_ROUNDS = 5
"""Fewer than in the latency gate's self-test: here every start calibrates anew, and a gate joins
two to four of them."""


def planted_bench(slowdown: float) -> Workbench:
    """A workbench whose tier does extra work in every forward of its denoiser, for good.

    Args:
        slowdown: to plant, as a fraction; 0 leaves only the unit of work that stands in every call.
    """
    from perfsuite.selftest.latency.extra_work import ExtraWork
    from perfsuite.workers.protocol import Build, Built
    from perfsuite.workers.server import Workbench

    class PlantedBench(Workbench):
        def __init__(self) -> None:
            super().__init__()
            self._planted = ExitStack()

        def _build(self, request: Build) -> Built:
            built = super()._build(request)
            tier = self._built
            work = ExtraWork(tier.dtype, tier.device)
            self._planted.enter_context(work.inside(tier.pipeline))
            if slowdown:
                work.units_per_call = slowdown / work.calibrate(self._image, _CALIBRATION_ROUNDS)
            return built

    return PlantedBench()


if __name__ == "__main__":
    main(lambda: planted_bench(float(sys.argv[1])))
