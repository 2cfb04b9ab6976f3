from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

from training import judge, models, pocket, scenes
from training.assembly import Denoiser
from training.classifier import (
    ClassifierSettings,
    accuracy,
    fit,
    labels,
    new_classifier,
    recognised,
    rendered,
)


def test_a_picture_is_wholly_similar_to_itself_and_not_to_noise() -> None:
    dice = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 3, 64, 64, generator=dice) * 2 - 1
    assert judge.similarity(first, first) == pytest.approx(1.0)
    assert judge.similarity(first, second) < 0.1


def test_accuracy_counts_each_part_by_itself() -> None:
    hits = torch.tensor([[True, True, False], [False, True, False]])
    measured = accuracy(hits)
    assert (measured.subject, measured.place, measured.palette) == (0.5, 1.0, 0.0)


def test_what_was_missed_is_named() -> None:
    shown = [scenes.Scene("cat", "sea", "warm"), scenes.Scene("dog", "sea", "cold")]
    hits = torch.tensor([[False, True, True], [False, True, False]])
    assert judge.missed(hits, shown) == {"cat": 1, "dog": 1, "cold": 1}


def test_labels_are_the_places_in_the_lists() -> None:
    assert labels([scenes.Scene("cat", "jungle", "plain")]).tolist() == [[1, 0, 2]]


@pytest.mark.usefixtures("emoji_font")
def test_a_run_of_216_renders_shows_the_whole_world() -> None:
    _, shown = rendered(0, "test", 5, 216)
    assert set(shown) == set(scenes.every_scene())


@pytest.mark.usefixtures("emoji_font")
def test_the_same_settings_fit_the_same_classifier() -> None:
    settings = ClassifierSettings(steps=3, batch=4)
    pictures, shown = rendered(0, "test", 0, 8)
    first, second = (fit(settings, Console(quiet=True)) for _ in range(2))
    assert torch.equal(first(pictures)[0], second(pictures)[0])
    assert recognised(first, pictures, shown).shape == (8, 3)


@pytest.mark.usefixtures("emoji_font")
def test_a_remembered_classifier_is_not_fitted_again(tmp_path: Path) -> None:
    path = tmp_path / "classifier.pt"
    torch.save(new_classifier().state_dict(), path)
    kept = judge.remembered_classifier(path, Console(quiet=True))
    assert not kept.training


@pytest.mark.usefixtures("emoji_font")
def test_figures_are_printed_and_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = tmp_path / "classifier.pt"
    torch.save(new_classifier().state_dict(), classifier)
    monkeypatch.setattr(scenes, "every_scene", lambda: [scenes.Scene("cat", "sea", "warm")])
    for name in ("TIMED_STEPS", "TIMED_IMAGES", "HELD_OUT", "CLASSIFIER_HELD_OUT"):
        monkeypatch.setattr(judge, name, 1)
    checkpoint = pocket.publish(
        models.new_vae(),
        Denoiser.new(channels=(32, 32, 64)),
        tmp_path / "pocket",
    )
    words = ["--checkpoint", str(checkpoint), "--json", str(tmp_path / "figures.json")]
    words += ["--classifier", str(classifier), "--steps", "1", "--seeds", "2"]
    assert judge.main(words) == 0
    assert "SSIM between seeds" in capsys.readouterr().out
    assert json.loads((tmp_path / "figures.json").read_text())["on_generated"]["pictures"] == 2
