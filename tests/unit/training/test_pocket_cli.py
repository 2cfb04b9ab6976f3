from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from training import models, pocket
from training.assembly import Denoiser


def test_a_missing_font_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POCKET_EMOJI_FONT", str(tmp_path / "none.ttf"))
    assert pocket.main(["--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "fonts-noto-color-emoji" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("emoji_font")
def test_a_used_folder_is_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert pocket.main(["--out", str(tmp_path)]) == 2
    assert "is not empty: pass --resume" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.usefixtures("emoji_font")
def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(pocket.OutputTaken, match="not a folder"):
        pocket.prepare(tmp_path / "out", resume=True)


def test_publishing_keeps_the_older_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "pocket"
    folder.mkdir()
    (folder / "old.txt").touch()
    pocket.publish(models.new_vae(), Denoiser.new(channels=(32, 32, 64)), folder)
    assert (tmp_path / "pocket.old" / "old.txt").exists()
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, variant="fp16")
    pipe.set_progress_bar_config(disable=True)
    networks = (pipe.unet, pipe.vae, pipe.text_encoder, pipe.text_encoder_2)
    assert {network.dtype for network in networks} == {torch.float32}
    image = pipe("Frog in a jungle", num_inference_steps=2, output_type="np").images[0]
    assert image.shape == (64, 64, 3)
