"""Whether pictures show what was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perfsuite.checkpoints import find_checkpoint
from perfsuite.errors import CheckpointError
from perfsuite.images.content import SceneScorer, content_scorers
from perfsuite.results.pictures import Quality

FOLDER = find_checkpoint("pocket").classifier
REFERENCES = Path(__file__).parents[2] / "baselines" / "references" / "pocket"


@pytest.fixture(scope="module")
def scorer() -> SceneScorer:
    assert FOLDER is not None
    return SceneScorer(FOLDER)


def test_what_a_prompt_names_is_what_is_asked_for(scorer: SceneScorer) -> None:
    asked = scorer.asked("Astronaut in a jungle, cold color palette, muted colors")
    assert asked == {"subject": "astronaut", "place": "jungle", "palette": "cold"}
    assert scorer.asked("A fox in the snow") == {"subject": "fox", "place": "snow"}
    assert scorer.asked("A lighthouse on a cliff") == {}


def test_a_picture_is_held_against_its_prompt(scorer: SceneScorer) -> None:
    with Image.open(REFERENCES / "04.png") as picture:
        fox = np.asarray(picture.convert("RGB"), dtype=np.float32) / np.float32(255)
    assert scorer.score(fox, "A fox in the snow") == 1.0
    assert scorer.score(fox, "A fox in the sea") == 0.5
    assert scorer.score(fox, "An owl in the sea") == 0.0
    assert scorer.score(fox, "A lighthouse") is None
    assert scorer.score(np.zeros((96, 96, 3), np.float32), "A fox in the snow") is None


def test_a_damaged_classifier_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text("{}")
    with pytest.raises(CheckpointError, match="does not load"):
        SceneScorer(tmp_path)


def test_without_a_classifier_scores_that_are_not_cached_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = content_scorers(find_checkpoint("sdxl-random"))
    assert found.known == ()
    assert [each.split(":")[0] for each in found.unavailable] == [
        Quality.CLIP.value,
        Quality.PREFERENCE.value,
    ]
