"""How a pipeline is called: as a user would, with nothing between the denoising steps."""

from __future__ import annotations

import pytest
import torch
from torch._inductor.cudagraph_trees import CUDAGraphTreeManager, MarkStepBox

from perfsuite.images.generate import run
from perfsuite.pipelines import family
from perfsuite.workload import Workload
from tests.unit.toy_family import ToyFamily, ToyPipeline


def test_every_denoising_step_begins_a_new_generation_of_device_graphs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Inductor records a device graph inside the one before it as long as the generation is the
    # same, so that one generation for an image means a chain of as many graphs as there are steps.
    monkeypatch.setitem(family._FAMILIES, "ToyPipeline", ToyFamily())
    work = Workload(("A fox in the snow",), (0,), 3, 5.0, 8, 8)
    pipeline = ToyPipeline()
    pipeline.transformer = torch.compile(pipeline.transformer, backend="eager")  # type: ignore[assignment]
    generations: list[int] = []

    def note(step: int) -> None:
        generations.append(CUDAGraphTreeManager.get_curr_generation())

    for shot in work.shots():
        run(pipeline, work, shot, on_step=note)
    torch.compiler.reset()
    assert MarkStepBox.mark_step_counter == 0
    assert len(generations) == len(set(generations)) == 3
