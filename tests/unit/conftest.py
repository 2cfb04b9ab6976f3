"""The real pocket pipeline with so little to do that a test can afford it."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator

import pytest
import torch

from perfsuite.checkpoints import Checkpoint, find_checkpoint, registry
from perfsuite.libraries import import_libraries, quietly
from perfsuite.measure import sampling
from perfsuite.measure.conditions import FakeWatch
from perfsuite.page.publish import SUMMARY_VARIABLE
from perfsuite.session import again
from perfsuite.workload import Workload


@pytest.fixture(scope="session")
def libraries() -> None:
    """All that a run imports, before pytester notes which modules are there.

    pytester forgets modules that an inner session has imported, and torch cannot be imported twice.
    """
    import_libraries()
    with quietly():
        for name in (
            "torch._dynamo",
            "torch._inductor.compile_fx",
            "perfsuite.session.preflight",
            "perfsuite.report.messages",
            "perfsuite.page.render",
            "perfsuite.history.store",
            "diffusers.models.attention_processor",
        ):
            importlib.import_module(name)


@pytest.fixture
def quick(libraries: None, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """A registered checkpoint 'quick': pocket's weights, one prompt, one or two steps.

    The machine counts as quiet, so that a busy one does not make verdicts 'invalid' in tests of
    something else.
    """
    monkeypatch.setattr(sampling, "watch_for", lambda device: FakeWatch())
    # A fresh process does not know 'quick', and takes seconds to find that out.
    monkeypatch.setattr(again, "make_again", lambda *_, **__: again.MadeAgain(problem="in a test"))
    monkeypatch.delenv("CI", raising=False)  # where it is true, what is inconclusive fails
    pocket = find_checkpoint("pocket")
    work = Workload(("A fox in the snow",), (0,), 2, 5.0, 64, 64)
    checkpoint = dataclasses.replace(
        pocket,
        name="quick",
        latency=dataclasses.replace(work, steps=1),
        quality=work,
        portable_references=False,
    )
    monkeypatch.setitem(registry._CHECKPOINTS, "quick", checkpoint)
    return checkpoint


@pytest.fixture(autouse=True)
def no_job_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions inside tests write nothing to the summary of a CI system's job."""
    monkeypatch.delenv(SUMMARY_VARIABLE, raising=False)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch on one thread, as a run has it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
