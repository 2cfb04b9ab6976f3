"""The machine's limits, and the share of them that a tier reaches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from perfsuite.device import CpuDevice
from perfsuite.measure.roofline import machine_limits
from perfsuite.results.counters import TierCounters, WeightBytes
from perfsuite.results.roofline import MachineLimits, limit_share
from perfsuite.results.stages import StageTimes, TierStages
from perfsuite.results.structure import OperatorCounts
from tests.unit.counted import counters

LIMITS = MachineLimits("float32", flops_per_s=1000.0, bytes_per_s=100.0)
STAGES = TierStages((StageTimes(10.0, 0.5, (2.0, 2.0), 0.5, 4.0),))


def counted(unet_bytes: int = 0) -> TierCounters:
    return replace(
        counters(OperatorCounts(flops={"unet.a": 2000, "vae.b": 2000})),
        step=OperatorCounts(flops={"unet": 1000}),
        weights=(WeightBytes("unet", "float32", unet_bytes),),
    )


def test_a_step_is_held_against_its_arithmetic() -> None:
    share = limit_share(counted(), STAGES, LIMITS, "unet", "vae")
    assert share is not None
    assert (share.step, share.decode, share.image) == (0.5, 0.5, 0.4)


def test_a_step_that_reads_more_than_it_computes_is_held_against_memory() -> None:
    share = limit_share(counted(unet_bytes=150), STAGES, LIMITS, "unet", "vae")
    assert share is not None
    assert share.step == pytest.approx(0.75)


def test_without_flops_there_is_no_share() -> None:
    assert limit_share(counters(OperatorCounts()), STAGES, LIMITS, "unet", "vae") is None


def test_the_limits_of_this_machine_are_those_of_a_machine() -> None:
    limits = machine_limits(CpuDevice(), torch.float32)
    assert limits.dtype == "float32"
    assert 1e8 < limits.flops_per_s < 1e14
    assert 1e7 < limits.bytes_per_s < 1e13
