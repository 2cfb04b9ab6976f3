"""Builders of the real dataclasses, filled in so that a test states only what it is about."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perfsuite.results.images import ImageEvidence, ImageScore, Thresholds
from perfsuite.results.machine import Environment, Hardware
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.policy import Policy
from perfsuite.results.reasons import Reason
from perfsuite.results.samples import LatencySamples, Measurement, PeakMemory
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import Metric, Outcome, Verdict
from perfsuite.workload import Workload

PROBE = "v1 float32 cpu"


def latency_samples(
    samples_s: Sequence[float] = (0.2, 0.21, 0.2, 0.19, 0.2),
    probe_s: Sequence[float] | None = None,
    probe: str = PROBE,
) -> LatencySamples:
    probes = (0.03,) * len(samples_s) if probe_s is None else tuple(probe_s)
    return LatencySamples(tuple(samples_s), probes, probe)


def quiet_run(log_latency: float, rounds: int = 3) -> LatencySamples:
    """A run without scatter within it, of that normalised log latency."""
    return LatencySamples((math.exp(log_latency),) * rounds, (1.0,) * rounds, PROBE)


def measurement(
    tier: str = "fp32",
    latency: LatencySamples | None = None,
    *,
    peak_bytes: int | None = 3 << 30,
) -> Measurement:
    reason = None if peak_bytes is not None else "the kernel reports no VmHWM"
    return Measurement(
        tier=tier,
        workload=workload().digest,
        latency=latency or latency_samples(),
        warmup_s=(1.0, 0.2),
        build_s=0.5,
        memory=PeakMemory(peak_bytes, "resident set", reason),
        recompiles=0,
        sampling_s=1.5,
    )


def hardware(**changes: object) -> Hardware:
    fields: dict[str, object] = {"kind": "cpu", "model": "AMD EPYC", "cores": 2}
    return Hardware(**(fields | changes))  # type: ignore[arg-type]


def environment(machine: Hardware | None = None) -> Environment:
    return Environment(
        hardware=machine or hardware(),
        packages={"torch": "2.13.0+cpu", "diffusers": "0.42.1", "torchao": "0.18.0"},
        python="3.11.7",
        system="Linux 6.1 x86_64",
        git_revision="abc1234",
        threads=1,
        recorded_at="2026-11-24T03:00:00+00:00",
    )


def workload(
    prompts: tuple[str, ...] = ("A fox in the snow", "A cat in a city"),
    seeds: tuple[int, ...] = (0, 1),
    *,
    steps: int = 10,
    guidance_scale: float = 5.0,
) -> Workload:
    return Workload(prompts, seeds, steps, guidance_scale, 64, 64)


def latency_verdict(
    outcome: Outcome = Outcome.PASSED,
    *reasons: Reason,
    measured: float = 0.2,
    measured_interval: tuple[float, float] = (0.19, 0.21),
    change: float | None = 0.01,
    change_interval: tuple[float, float] | None = (-0.03, 0.05),
) -> Verdict:
    judged = change is not None
    return Verdict(
        Metric.LATENCY,
        outcome,
        reasons,
        measured=measured,
        measured_interval=measured_interval,
        expected=0.198 if judged else None,
        change=change,
        change_interval=change_interval if judged else None,
        minimum_detectable_effect=0.083 if judged else None,
        tolerance=0.05 if judged else None,
    )


def score(ssim: float = 0.99, prompt: str = "A fox in the snow", seed: int = 0) -> ImageScore:
    return ImageScore(prompt, seed, ssim, 40.0)


def quality_verdict(
    outcome: Outcome = Outcome.PASSED, *reasons: Reason, metric: Metric = Metric.IMAGES
) -> Verdict:
    thresholds = Thresholds("the tier's row", worst_ssim=0.95)
    evidence = ImageEvidence(thresholds, (score(0.99), score(0.97, seed=1)))
    return Verdict(metric, outcome, reasons, measured=0.97, images=evidence)


def record(*tiers: TierResult) -> RunRecord:
    return RunRecord(
        schema=SCHEMA,
        run_id="20261124T030000Z-0000",
        environment=environment(),
        checkpoint="pocket",
        identity="sha256:0123456789ab",
        latency_workload=workload(),
        quality_workload=workload(steps=30),
        policy=Policy(multiplicity=6),
        baseline=None,
        tiers=tiers,
    )
