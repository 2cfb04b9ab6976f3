from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from typing import Any

import msgspec
import pytest

from perfsuite.workload import Asked, Shot, Workload
from tests.unit.samples import workload


def test_shots_are_every_prompt_with_every_seed_prompts_outermost() -> None:
    assert list(workload(("a", "b"), (3, 4)).shots()) == [
        Shot(0, "a", 3),
        Shot(1, "a", 4),
        Shot(2, "b", 3),
        Shot(3, "b", 4),
    ]


def test_equal_workloads_have_equal_digests() -> None:
    assert workload().digest == workload().digest
    assert len(workload().digest) == 12
    assert int(workload().digest, 16) >= 0


@pytest.mark.parametrize(
    "change",
    [
        {"prompts": ("A fox",)},
        {"seeds": (0, 2)},
        {"steps": 11},
        {"guidance_scale": 4.5},
        {"height": 128},
        {"width": 128},
        {"batch_size": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_is_part_of_the_digest(change: dict[str, Any]) -> None:
    assert replace(workload(), **change).digest != workload().digest


def test_a_digest_survives_being_stored() -> None:
    stored = msgspec.json.decode(msgspec.json.encode(asdict(workload())), type=Workload)
    assert stored.digest == workload().digest


def test_the_digest_that_names_stored_baselines_stays_what_it_is() -> None:
    # If this fails, every committed baseline and reference has to be recorded anew.
    assert workload().digest == "cb1ef66ec0d0"


@pytest.mark.parametrize(
    "change",
    [
        {"prompts": ()},
        {"seeds": ()},
        {"steps": 0},
        {"height": 0},
        {"width": -8},
        {"batch_size": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_workload_of_nothing_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least one|must be positive"):
        replace(workload(), **change)


def test_a_guidance_written_as_a_whole_number_is_the_same_guidance() -> None:
    assert workload(guidance_scale=5).digest == workload(guidance_scale=5.0).digest


PROMPT = "it's a --word, --perf-out"
ASKED = Asked("my model", (("workload", "tall"), ("prompt", PROMPT), ("steps", "4")))


def test_an_advised_command_names_checkpoint_and_workload_as_a_shell_takes_them() -> None:
    assert shlex.split(ASKED.command("record-references")) == [
        "perfsuite", "record-references", "my model",
        "--workload", "tall", "--prompt", PROMPT, "--steps", "4",
    ]  # fmt: skip
    assert shlex.split(ASKED.recording()) == [
        "perfsuite", "record", "--runs", "5", "--perf-checkpoint", "my model",
        "--perf-workload", "tall", "--perf-prompt", PROMPT, "--perf-steps", "4",
    ]  # fmt: skip
    assert Asked().command("calibrate-quality") == "perfsuite calibrate-quality"
    assert Asked().recording("--runs 7") == "perfsuite record --runs 7"
