from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import perfsuite

PUBLIC = [
    "Adapter",
    "Builder",
    "Change",
    "Checkpoint",
    "PerfsuiteError",
    "Phase",
    "PipelineFamily",
    "Published",
    "Tier",
    "Workload",
    "build_tier",
    "change",
    "register_checkpoint",
    "register_family",
    "register_tier",
]


def test_the_public_names_are_these() -> None:
    assert perfsuite.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_the_one_of_its_own_module(name: str) -> None:
    found = getattr(perfsuite, name)
    assert found is getattr(importlib.import_module(perfsuite._PUBLIC[name]), name)
    assert found.__doc__


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'perfsuite' has no attribute 'teir'"):
        perfsuite.teir  # noqa: B018


HEAVY = ("torch", "diffusers", "transformers", "torchao", "scipy", "skimage")


@pytest.mark.parametrize("module", ["perfsuite", "perfsuite.plugin", "perfsuite.pipelines"])
def test_being_installed_costs_other_pytest_runs_nothing(module: str) -> None:
    code = f"import sys, {module}; print([n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
