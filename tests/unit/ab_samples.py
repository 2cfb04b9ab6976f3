"""Builders of the gate's dataclasses, filled in so that a test states only what it is about."""

from __future__ import annotations

import zipfile
from pathlib import Path

import msgspec
import numpy as np

from perfsuite.ab.block import Work
from perfsuite.ab.images import ArmImages
from perfsuite.ab.plan import GatePlan
from perfsuite.ab.session import with_hello
from perfsuite.device import CpuDevice
from perfsuite.images.generate import GeneratedImage
from perfsuite.ladder import find_tiers
from perfsuite.results.ab import (
    Arm,
    ArmFacts,
    BlockRecord,
    GateRecord,
    StartFacts,
    TierGate,
    TimedSample,
)
from perfsuite.results.images import Change, ImageEvidence, ImageScore, Thresholds
from perfsuite.results.machine import Conditions
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.picture_reasons import Missed, ThresholdsMissed
from perfsuite.results.policy import PairedPolicy
from perfsuite.results.reasons import Reason
from perfsuite.results.samples import PeakMemory
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.workers.protocol import Build, Finished, Hello
from perfsuite.workload import Workload
from tests.unit.fake_worker import FakeWorker
from tests.unit.samples import environment

WORK = Workload(("A fox in the snow",), (0,), 1, 5.0, 64, 64)


def hello(prefix: str = "/env", **packages: str) -> Hello:
    return Hello("/src/perfsuite", prefix, "3.11.7", packages or {"torch": "2.13.0"})


def image(seed: int = 0) -> GeneratedImage:
    """A picture of noise: as good as any other for arithmetic."""
    generator = np.random.default_rng(seed)
    pixels = generator.random((64, 64, 3), dtype=np.float32)
    latents = generator.normal(size=(4, 8, 8)).astype(np.float32)
    return GeneratedImage(next(WORK.shots()), pixels, latents)


def finished(
    *, peak_bytes: int = 1 << 30, breaks: int = 0, recompiles: int = 0, late: int = 0
) -> Finished:
    return Finished(
        PeakMemory(peak_bytes, "fake"), breaks, recompiles, late, Conditions(), 0.0, 1.0
    )


def busy(busy_elsewhere: float) -> Finished:
    """An arm that worked half of the time, beside others on so many cores."""
    conditions = Conditions(busy_elsewhere=busy_elsewhere)
    return msgspec.structs.replace(finished(), conditions=conditions, cpu_s=5.0, wall_s=10.0)


def facts(*, first_image_s: float = 5.0, peak_bytes: int = 1 << 30) -> StartFacts:
    memory = PeakMemory(peak_bytes, "fake")
    return StartFacts(0.5, first_image_s, (0.2,), memory, 0, 0, 0, (), Conditions())


def block(ratio: float = 1.0, *, cold: bool = False, spoilt: Reason | None = None) -> BlockRecord:
    """Ten pairs without scatter, of that ratio."""
    pair = (TimedSample(Arm.CONTROL, 0.2), TimedSample(Arm.TREATMENT, 0.2 * ratio))
    starts = {name: facts() for name in Arm}
    return BlockRecord(cold, True, pair * 10, starts, sampling_s=4.0, spoilt=spoilt)


def tier(ratio: float = 1.0, *, compiles: bool = False) -> TierGate:
    return TierGate("bf16", compiles, (block(ratio, cold=True), block(ratio), block(ratio)))


def gate_record(*tiers: TierGate, wanted: tuple[str, ...] | None = None) -> GateRecord:
    return GateRecord(
        schema=SCHEMA,
        gate_id="20261124T030000Z-0000",
        environment=environment(),
        control=with_hello(ArmFacts("."), hello(torch="2.13.0")),
        treatment=with_hello(ArmFacts("torch==2.14.1"), hello("/new", torch="2.14.1")),
        checkpoint="pocket",
        identity="sha256:0123456789ab",
        latency_workload=WORK,
        quality_workload=WORK,
        policy=PairedPolicy(),
        budget_s=40.0,
        cores=(1,),
        wanted=tuple(each.tier for each in tiers) if wanted is None else wanted,
        tiers=tiers,
    )


def plan(out: Path, *tiers: str, budget_s: float = 40.0) -> GatePlan:
    names = tiers or ("bf16",)
    request = Build("", "pocket", WORK, WORK, "cpu", 1)
    work = Work(request, (1,), budget_s / 4, usable_cores=2, threads=1, fewest_pairs=2)
    return GatePlan(
        find_tiers(names),
        work,
        ArmImages(WORK, None, None),
        gate_record(wanted=names),
        CpuDevice(),
        out,
    )


class Opener:
    """Opens fakes that note their events in one list, on a clock that their samples wind.

    Args:
        control_s: seconds of each of the control's samples.
        treatment_s: seconds of each of the treatment's samples.
        errors: by arm, what methods raise instead; by the tier's name and the method's.
        both_finished: what both arms find when they finish.
        swing: fraction by which the treatment is slower in every other start.
        turns: in which the control makes an image, and the treatment.
    """

    def __init__(
        self,
        control_s: float = 1.0,
        treatment_s: float = 1.0,
        errors: dict[Arm, dict[tuple[str, str], BaseException]] | None = None,
        both_finished: Finished | None = None,
        *,
        swing: float = 0.0,
        turns: tuple[int, int] = (1, 1),
    ) -> None:
        self.events: list[str] = []
        self.fakes: list[FakeWorker] = []
        self.finished = {name: both_finished or finished() for name in Arm}
        self._seconds = {Arm.CONTROL: control_s, Arm.TREATMENT: treatment_s}
        self._errors = errors or {}
        self._swing = swing
        self._turns = dict(zip(Arm, turns, strict=True))

    def __call__(self, name: Arm, tier: str) -> FakeWorker:
        mine = self._errors.get(name, {})
        starts = sum(1 for fake in self.fakes if fake.name is name)
        swing = self._swing if name is Arm.TREATMENT and starts % 2 else 0.0
        fake = FakeWorker(
            name,
            self.events,
            [self._seconds[name] * (1 + swing)],
            self._turns[name],
            hello(),
            finished=self.finished[name],
            pictures=(image(),),
            errors={method: error for (of, method), error in mine.items() if of == tier},
        )
        self.fakes.append(fake)
        return fake

    def clock(self) -> float:
        """Seconds that all samples so far have taken."""
        count = {name: self.events.count(f"{name.value} turn") for name in Arm}
        return sum(self._seconds[name] * count[name] / self._turns[name] for name in Arm)


def images_verdict(
    outcome: Outcome = Outcome.PASSED, *reasons: Reason, worst_ssim: float = 0.97
) -> Verdict:
    """On two images, whose worst is the second."""
    thresholds = Thresholds("the tier's row", worst_ssim=0.95)
    scores = (
        ImageScore("A fox in the snow", 0, 0.99, 40.0),
        ImageScore("A fox in the snow", 1, worst_ssim, 40.0),
    )
    evidence = ImageEvidence(thresholds, scores)
    return Verdict(Metric.IMAGES, outcome, reasons, measured=worst_ssim, images=evidence)


def damage(worst_ssim: float = 0.4) -> ThresholdsMissed:
    """An image that is another picture."""
    missed = (Missed("worst_ssim", worst_ssim, 0.95),)
    return ThresholdsMissed(Change.DAMAGE.value, missed, "A fox in the snow", 1)


class SilentLine:
    """A progress line that nobody sees."""

    def begin(self, title: str) -> None:
        """Nothing."""

    def update(self, what: str, done: int, total: int) -> None:
        """Nothing."""


def wheel(folder: Path, version: str, requires: str = "") -> None:
    """A wheel of one module, `tiny`, that knows its version."""
    name = f"tiny-{version}"
    about = f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"
    about += f"Requires-Dist: {requires}\n" if requires else ""
    kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as archive:
        archive.writestr("tiny.py", f"VERSION = '{version}'\n")
        archive.writestr(f"{name}.dist-info/METADATA", about)
        archive.writestr(f"{name}.dist-info/WHEEL", kind)
        archive.writestr(f"{name}.dist-info/RECORD", "")
