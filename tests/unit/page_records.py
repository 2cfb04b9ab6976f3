"""Records with everything that a page can show, and the files beside them."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path

import numpy as np

from perfsuite.report.picture import Pixels
from perfsuite.report.sheet import draw_differences, draw_sheet
from perfsuite.results.ab import Arm, ArmFacts, BlockRecord, GateRecord, TierGate, TimedSample
from perfsuite.results.bisection import Answer, Bisected, BisectRecord, Question, Trial
from perfsuite.results.images import ContactSheets, ImageEvidence, Thresholds
from perfsuite.results.method import Finding
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.policy import PairedPolicy
from perfsuite.results.session import RunRecord, TierResult, save_record
from perfsuite.results.stages import StageTimes, TierStages
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.storage import write_json, write_whole
from perfsuite.stores.baselines import Baseline, RecordedRun, TierBaseline
from tests.unit.counted import counters
from tests.unit.samples import (
    environment,
    latency_samples,
    latency_verdict,
    measurement,
    record,
    score,
    workload,
)

SLOWER = 1.2
SIZE = (16, 16)
STAGES = StageTimes(0.2, 0.02, (0.04, 0.03, 0.03), 0.01, 0.05)


def samples_of(tier: str) -> tuple[float, ...]:
    """Seconds of twenty images."""
    median_s = {"fp32": 0.2, "sdpa": 0.15}[tier]
    return tuple(median_s * (1 + 0.01 * (place % 7 - 3)) for place in range(20))


def images(count: int, noise: float = 0.0) -> list[Pixels]:
    """Pictures that WebP can keep, each unlike the others."""
    random = np.random.default_rng(count)
    ramp = np.linspace(0, 1, SIZE[0], dtype=np.float32)
    made = []
    for place in range(count):
        picture = np.stack([np.tile(ramp, (SIZE[1], 1))] * 3, axis=-1) * (place + 1) / count
        made.append((picture + noise * random.random(picture.shape)).astype(np.float32))
    return made


def evidence(folder: Path, run_id: str, tier: str, noise: float) -> ImageEvidence:
    """Scores of four images, with their contact sheets below a folder."""
    scores = tuple(
        score(ssim, prompt, seed)
        for (prompt, seed), ssim in zip(
            ((shot.prompt, shot.seed) for shot in workload().shots()),
            (0.999, 0.998, 0.9, 0.997),
            strict=True,
        )
    )
    held, made = images(4), images(4, noise)
    drawn, differences = draw_sheet(made, SIZE), draw_differences(held, made, SIZE)
    names = [f"{run_id}/references.webp", f"{run_id}/{tier}.webp", f"{run_id}/{tier}-d.webp"]
    for name, sheet in zip(names, (draw_sheet(held, SIZE), drawn, differences), strict=True):
        write_whole(folder / name, sheet.content)
    references, own, maps = names
    sheets = ContactSheets(drawn.columns, references, own, maps, differences.peaks)
    return ImageEvidence(Thresholds("the tier's row", worst_ssim=0.8), scores, sheets=sheets)


def tier(folder: Path, run_id: str, name: str, slower: float = 1.0) -> TierResult:
    """A tier that was timed and scored."""
    samples = tuple(slower * each for each in samples_of(name))
    seconds, grew = statistics.median(samples), slower - 1
    outcome = Outcome.REGRESSED if slower > 1.1 else Outcome.PASSED
    latency = latency_verdict(
        outcome, measured=seconds, change=grew, change_interval=(grew - 0.02, grew + 0.02)
    )
    shown = evidence(folder, run_id, name, 0.0 if name == "fp32" else 0.1)
    scored = Verdict(Metric.IMAGES, Outcome.PASSED, measured=0.9, images=shown)
    return TierResult(
        name,
        published_s={"fp32": 7.36, "sdpa": 3.31}.get(name),
        measurement=dataclasses.replace(
            measurement(name, latency_samples(samples)), stages=TierStages((STAGES,))
        ),
        verdicts=(latency, scored),
        findings=(Finding("inductor", "torch ignores the inductor flag use_mixed_mm"),),
        counters=counters(),
    )


def session(folder: Path, night: int = 1, slower: float = 1.0, **changes: object) -> RunRecord:
    """A session of two tiers, written to `folder/runs` with its baseline and pictures."""
    run_id = f"202611{night:02d}T030000Z-{night:04x}"
    runs = folder / "runs"
    path = folder / "baselines" / environment().hardware.key / "pocket.json"
    made = dataclasses.replace(
        record(
            tier(runs, run_id, "fp32"),
            tier(runs, run_id, "sdpa", slower),
        ),
        run_id=run_id,
        baseline=str(path),
        complete=True,
        environment=dataclasses.replace(
            environment(), recorded_at=f"2026-11-{night:02d}T03:00:00+00:00"
        ),
        command="pytest -m perf tests/perf",
    )
    made = dataclasses.replace(made, **changes)  # type: ignore[arg-type]
    write_json(path, _baseline())
    save_record(made, folder)
    return made


def _baseline() -> Baseline:
    key = environment().hardware.key
    tiers = {name: _recorded(name) for name in ("fp32", "sdpa")}
    return Baseline(SCHEMA, key, "pocket", workload().digest, tiers)


def _recorded(name: str) -> TierBaseline:
    runs = tuple(
        RecordedRun(f"20261001T03000{n}Z-0000", environment(), latency_samples(samples_of(name)))
        for n in range(3)
    )
    return TierBaseline(statistics.median(samples_of(name)), runs)


def gate(folder: Path) -> GateRecord:
    """A gate of one tier with two starts, written to `folder/gates`."""
    samples = tuple(
        TimedSample(arm, 0.2 * (SLOWER if arm is Arm.TREATMENT else 1) + 0.001 * (n % 5))
        for n in range(16)
        for arm in (Arm.CONTROL, Arm.TREATMENT)
    )
    blocks = tuple(BlockRecord(n == 0, True, samples, {}, 6.4) for n in range(2))
    made = GateRecord(
        SCHEMA,
        "20261124T040000Z-0001",
        environment(),
        ArmFacts(".", "3.11.7", "/a", {"torch": "2.13.0", "numpy": "2.0"}),
        ArmFacts("torch==2.14.1", "3.11.7", "/b", {"torch": "2.14.1", "numpy": "2.0"}),
        "pocket",
        "sha256:0123456789ab",
        workload(),
        workload(steps=30),
        PairedPolicy(),
        40.0,
        (1,),
        ("sdpa",),
        (TierGate("sdpa", False, blocks, (latency_verdict(Outcome.REGRESSED, change=0.2),)),),
        complete=True,
    )
    write_json(folder / "gates" / f"{made.gate_id}.json", made)
    return made


def bisection(folder: Path) -> BisectRecord:
    """A bisection of five versions, written to `folder/bisections`."""
    made = BisectRecord(
        SCHEMA,
        "20261124T050000Z-0002",
        environment(),
        "pocket",
        "sdpa",
        Question.LATENCY,
        "torch",
        "torch==2.10",
        "torch==2.14",
        ("2.10", "2.11", "2.12", "2.13", "2.14"),
        (
            Trial("2.10", "2.10", Answer.GOOD),
            Trial("2.14", "2.10", Answer.BAD),
            Trial("2.12", "2.10", Answer.GOOD),
            Trial("2.13", "2.10", Answer.BAD),
        ),
        Bisected("2.12", "2.13"),
    )
    write_json(folder / "bisections" / f"{made.bisect_id}.json", made)
    return made
