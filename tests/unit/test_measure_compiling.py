"""What inductor is silent about becomes findings, also where logging is held back."""

from __future__ import annotations

import logging

import pytest
import torch

from perfsuite.libraries import quietly
from perfsuite.measure.compiling import compiler_findings
from perfsuite.measure.host import host_share
from perfsuite.pipelines import StepHook
from tests.unit.fake_device import FakeDevice


def test_warnings_of_inductor_are_findings_and_nothing_is_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    inductor = logging.getLogger("torch._inductor.utils")
    with quietly(), compiler_findings() as found:
        inductor.warning("Not enough SMs to use max_autotune_gemm mode")
        for _ in range(3):
            logging.getLogger("torch._inductor.select_algorithm").error(
                "Exception %s for benchmark choice %s\nTraceback", "no shared memory", "mm_7"
            )
        logging.getLogger("diffusers").warning("somebody else's")
    inductor.info("afterwards")
    assert {each.message for each in found} == {
        "inductor: Not enough SMs to use max_autotune_gemm mode",
        "inductor: Exception no shared memory for benchmark choice mm_7 (3 times)",
    }
    assert capfd.readouterr() == ("", "")


def test_device_graphs_that_were_skipped_are_a_finding() -> None:
    with compiler_findings() as found:
        torch._dynamo.utils.counters["inductor"]["cudagraph_skips"] += 2
    assert [each.message for each in found] == ["inductor skipped device graphs 2 times"]


def test_of_many_warnings_the_most_frequent_are_told() -> None:
    with compiler_findings() as found:
        for number in range(9):
            logging.getLogger("torch._inductor").warning("warning %d", number)
    assert len(found) == 5
    assert found[-1].message == "inductor: 5 more warnings"


def test_logging_is_as_it_was() -> None:
    before = logging.root.manager.disable, list(logging.getLogger("torch._inductor").handlers)
    with quietly(), compiler_findings():
        pass
    assert before == (
        logging.root.manager.disable,
        list(logging.getLogger("torch._inductor").handlers),
    )


class Clock(FakeDevice):
    """Launching a step takes 1 s of its clock; the device needs `busy_s` in all."""

    def __init__(self, busy_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(is_accelerator=True)
        self.now, self.busy_s, self.launched = 0.0, busy_s, 0.0
        monkeypatch.setattr("time.perf_counter", lambda: self.now)

    def synchronize(self) -> None:
        self.now = max(self.now, self.launched + self.busy_s)
        self.launched = self.now

    def image(self, hook: StepHook) -> None:
        for step in range(4):
            self.now += 1.0
            hook(step)


@pytest.mark.parametrize(("busy_s", "share"), [(4.0, 0.25), (1.25, 0.8), (0.5, 1.0)])
def test_the_hosts_share_is_what_launching_takes_of_a_step(
    busy_s: float, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Clock(busy_s, monkeypatch)
    assert host_share(device, device.image) == pytest.approx(share)


def test_a_cpu_has_no_host() -> None:
    assert host_share(FakeDevice(), lambda hook: pytest.fail("no image is made")) is None
