"""What the tests of the recipe share."""

from __future__ import annotations

import pytest

from training import scenes


@pytest.fixture(scope="session")
def emoji_font() -> None:
    """Skip where the drawings cannot be made."""
    try:
        scenes.font_path()
    except scenes.FontMissing as problem:
        pytest.skip(str(problem))
