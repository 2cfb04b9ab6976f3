from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training import scenes

ASTRONAUT = scenes.Scene("astronaut", "jungle", "cold")


def test_the_world_has_216_different_scenes() -> None:
    assert len(set(scenes.every_scene())) == 216


@pytest.mark.usefixtures("emoji_font")
def test_the_same_dice_give_the_same_picture() -> None:
    first = scenes.render(ASTRONAUT, scenes.dice(0, "test", 3))
    again = scenes.render(ASTRONAUT, scenes.dice(0, "test", 3))
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)


@pytest.mark.usefixtures("emoji_font")
@pytest.mark.parametrize("other", [(1, "test", 3), (0, "held-out", 3), (0, "test", 4)])
def test_other_dice_give_another_picture(other: tuple[int, str, int]) -> None:
    first = scenes.render(ASTRONAUT, scenes.dice(0, "test", 3))
    assert not np.array_equal(first, scenes.render(ASTRONAUT, scenes.dice(*other)))


@pytest.mark.usefixtures("emoji_font")
@pytest.mark.parametrize("scene", scenes.every_scene()[::13], ids=str)
def test_scenes_are_not_blank(scene: scenes.Scene) -> None:
    assert scenes.render(scene, scenes.dice(0, "test", 0)).std() > 15


def test_palettes_shift_the_colours() -> None:
    grey = np.full((2, 2, 3), 128, dtype=np.float32)
    cold, warm = (scenes.tint(grey, palette)[0, 0] for palette in ("cold", "warm"))
    assert cold[2] > cold[0]
    assert warm[0] > warm[2]
    assert np.array_equal(scenes.tint(grey, "plain"), grey)


def test_a_missing_font_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POCKET_EMOJI_FONT", str(tmp_path / "none.ttf"))
    with pytest.raises(scenes.FontMissing, match="fonts-noto-color-emoji"):
        scenes.font_path()
