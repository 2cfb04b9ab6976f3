"""Ten steps of every stage, small: that they run, learn something, stop and go on."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from training.denoiser import DenoiserSettings, DenoiserStage, cached_latents
from training.loop import Interrupted, Pace, Schedule, cosine, train, write_atomically
from training.vae import DecoderStage, VaeSettings, VaeStage, psnr_db

QUIET = Console(quiet=True)
VAE = VaeSettings(batch=2)
DENOISER = DenoiserSettings(batch=4, renders=8)
NARROW = (32, 32, 64)


class CountingStage:
    """A stage without networks, for the loop alone."""

    name = "counting"

    def __init__(self, stop_at: int | None = None) -> None:
        self.done: list[int] = []
        self.stop_at = stop_at

    def step(self, step: int, fraction: float) -> float:
        self.done.append(step)
        if step == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return 1.0 - fraction

    def state(self) -> dict[str, Any]:
        return {"done": self.done}

    def load(self, state: dict[str, Any]) -> None:
        self.done = state["done"]

    def sample(self, path: Path) -> None:
        path.touch()


def test_ctrl_c_saves_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="step 4; go on with --resume"):
        train(CountingStage(stop_at=3), Schedule(10), tmp_path, QUIET)
    stage = CountingStage()
    train(stage, Schedule(10), tmp_path, QUIET)
    assert stage.done == list(range(10))
    assert (tmp_path / "counting-final.png").exists()


def test_a_finished_stage_is_not_run_again(tmp_path: Path) -> None:
    train(CountingStage(), Schedule(3), tmp_path, QUIET)
    stage = CountingStage()
    train(stage, Schedule(3), tmp_path, QUIET)
    assert stage.done == [0, 1, 2]


def test_checkpoints_and_samples_come_on_the_way(tmp_path: Path) -> None:
    every_step = Schedule(2, checkpoint_every_s=0.0, sample_every_s=0.0)
    train(CountingStage(), every_step, tmp_path, QUIET)
    assert (tmp_path / "counting-000001.png").exists()


def test_a_pause_is_not_counted_as_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 2.0, 3600.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    pace = Pace()
    assert [pace.tick(0.0) for _ in range(3)] == [1.0, 1.0, 5.0]
    assert pace.step_s == 1.0


def test_the_learning_rate_warms_up_and_falls() -> None:
    assert cosine(0, 0.0) == pytest.approx(0.01)
    assert cosine(500, 0.0) == pytest.approx(1.0)
    assert cosine(500, 1.0) == pytest.approx(0.03)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_text("old")

    def fail(beside: Path) -> None:
        beside.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"


def test_psnr_of_a_known_error() -> None:
    # An error of 0.2 everywhere, where the peak is 2: 20 log10(2 / 0.2) = 20 dB.
    wanted = torch.zeros(3, 3, 4, 4)
    assert psnr_db(wanted + 0.2, wanted).tolist() == pytest.approx([20.0] * 3, abs=1e-4)


@pytest.mark.usefixtures("emoji_font")
def test_ten_steps_of_every_stage(tmp_path: Path) -> None:
    schedule = Schedule(10)
    vae_stage = VaeStage(VAE)
    train(vae_stage, schedule, tmp_path, QUIET)
    latents = cached_latents(vae_stage.average, DENOISER, tmp_path, QUIET)
    assert latents.shape == (8, 4, 16, 16)
    denoiser = DenoiserStage(DENOISER, vae_stage.average, latents, NARROW)
    train(denoiser, schedule, tmp_path, QUIET)
    decoder = DecoderStage(VAE, vae_stage.average)
    train(decoder, schedule, tmp_path, QUIET)
    made = {path.name for path in tmp_path.glob("*-final.png")}
    assert made == {"vae-final.png", "denoiser-final.png", "decoder-final.png"}


@pytest.mark.usefixtures("emoji_font")
def test_the_decoder_stage_leaves_the_encoder_alone() -> None:
    vae = VaeStage(VAE).vae
    before = {name: weights.clone() for name, weights in vae.encoder.state_dict().items()}
    stage = DecoderStage(VAE, vae)
    for step in range(3):
        stage.step(step, 0.5)
    after = stage.average.encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(stage.average.decoder.conv_in.weight, vae.decoder.conv_in.weight)


@pytest.mark.usefixtures("emoji_font")
def test_a_resumed_stage_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    unbroken = VaeStage(VAE)
    train(unbroken, Schedule(4), tmp_path / "unbroken", QUIET)
    first = VaeStage(VAE)
    for step in range(2):
        first.step(step, step / 4)
    saved = {"stage": first.state(), "step": 2, "dice": torch.get_rng_state()}
    write_atomically(tmp_path / "broken" / "vae.pt", lambda path: torch.save(saved, path))
    second = VaeStage(VAE)
    train(second, Schedule(4), tmp_path / "broken", QUIET)
    ends = zip(unbroken.vae.parameters(), second.vae.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in ends)
