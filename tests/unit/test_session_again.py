"""A failed image is made once more in a fresh process: two stable answers, or one, or none."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from perfsuite.checkpoints import find_checkpoint
from perfsuite.device import CpuDevice
from perfsuite.images.generate import GeneratedImage, generate
from perfsuite.images.references import references_of
from perfsuite.judge.again import judge_again
from perfsuite.ladder import build_tier, find_tiers
from perfsuite.results.again_reasons import Bimodal, NotMadeAgain, SameAgain, Unstable
from perfsuite.session import again
from perfsuite.session.again import MadeAgain, make_again, try_again
from perfsuite.workload import Overrides

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = find_checkpoint("pocket").workloads(
    Overrides(prompts=("A fox in the snow", "Robot in a city"), seeds=(0,), steps=1)
)


@pytest.mark.parametrize(
    ("here", "there", "between", "found"),
    [
        (math.inf, math.inf, math.inf, SameAgain()),
        (math.inf, 101.0, 90.0, SameAgain()),
        (math.inf, math.inf, 27.8, Bimodal(0.958, 0.986, 27.8)),
        (math.inf, 33.0, 27.8, Unstable(33.0)),
        (40.0, math.inf, math.inf, Unstable(40.0)),
        (math.inf, math.nan, 27.8, Unstable(0.0)),
    ],
)
def test_what_four_makings_of_one_image_mean(
    here: float, there: float, between: float, found: object
) -> None:
    assert judge_again(here, there, between, 0.958, 0.986) == found


def test_a_fresh_process_makes_the_very_image_again() -> None:
    pocket, shot = find_checkpoint("pocket"), next(SHORT.quality.shots())
    with build_tier(find_tiers(["fp32"])[0], pocket, CpuDevice(), workloads=SHORT) as built:
        image = generate(built.pipeline, built.quality, shot)
        made = make_again(built, shot, exact_only=False)
    assert made.problem == ""
    assert all(np.array_equal(each.pixels, image.pixels) for each in made.images)


def test_another_stable_answer_is_reported_with_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    pocket, shot = find_checkpoint("pocket"), next(SHORT.quality.shots())
    with build_tier(find_tiers(["fp32"])[0], pocket, CpuDevice(), workloads=SHORT) as built:
        images = tuple(
            generate(built.pipeline, built.quality, each) for each in SHORT.quality.shots()
        )
        references = references_of(images, built.quality)
        failed = images[0]
        other = replace(images[1], shot=shot)

        def answer(*made: GeneratedImage, problem: str = "") -> None:
            monkeypatch.setattr(again, "make_again", lambda *_, **__: MadeAgain(made, problem))

        answer(other, other)
        found = try_again(built, failed, references, exact_only=False)
        assert isinstance(found.reason, Bimodal)
        assert found.reason.ssim == pytest.approx(1.0)
        assert found.reason.again is not None
        assert found.reason.again < 0.97
        assert found.other is other
        answer(failed, failed)
        assert try_again(built, failed, references, exact_only=False).reason == SameAgain()
        answer(problem="no room")
        found = try_again(built, failed, references, exact_only=False)
        assert (found.reason, found.other) == (NotMadeAgain("no room"), None)


def test_what_the_fresh_process_cannot_do_is_one_line(tmp_path: Path) -> None:
    request = again.Request(
        (),
        "nobody-knows-it",
        "fp32",
        "cpu",
        1,
        exact_only=False,
        workload=SHORT.quality,
        index=0,
        target=str(tmp_path / "image.npz"),
    )
    done = subprocess.run(
        [sys.executable, "-m", again.__name__],
        input=msgspec.json.encode(request),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert "unknown checkpoint 'nobody-knows-it'" in done.stderr.decode().splitlines()[-1]
