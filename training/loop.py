"""One loop for every stage: steps, progress, checkpoints, sample grids, a clean stop."""

from __future__ import annotations

import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from torch import Tensor

WARM_UP_STEPS = 100
FLOOR = 0.03  # of the learning rate, at the end of the cosine
LONGEST_STEP_S = 5.0  # anything longer is a paused process or a sleeping laptop, not a step


class Stage(Protocol):
    """What the loop needs to know of a stage."""

    name: str

    def step(self, step: int, fraction: float) -> float:
        """Train on one batch, `fraction` of the way through; return the loss."""

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""

    def sample(self, path: Path) -> None:
        """Write a picture of what the stage can do by now."""


@dataclass(frozen=True)
class Schedule:
    """How long a stage runs, and how often it saves."""

    steps: int
    checkpoint_every_s: float = 180.0
    sample_every_s: float = 360.0


class Interrupted(Exception):
    """Somebody asked for a stop; the checkpoint is on disk."""


def half_precision() -> AbstractContextManager[object]:
    """bfloat16 autocast where the CPU has instructions for it; without, it is ten times slower."""
    if "AVX512" in torch.backends.cpu.get_cpu_capability():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


def cosine(step: int, fraction: float) -> float:
    """Share of the learning rate: a short warm-up, then half a cosine down to `FLOOR`."""
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    return warm_up * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * fraction)))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside, then rename: a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    write(beside)
    beside.replace(path)


def save_grid(pictures: Tensor, columns: int, path: Path, scale: int = 2) -> None:
    """Pictures (n, 3, h, w) in -1..1 as one PNG, row by row, enlarged."""
    rows = [torch.cat(list(row), 2) for row in torch.split(pictures, columns)]
    sheet = ((torch.cat(rows, 1) + 1) * 127.5).round().clamp(0, 255).byte()
    image = Image.fromarray(np.ascontiguousarray(sheet.permute(1, 2, 0).numpy()))
    size = (image.width * scale, image.height * scale)
    enlarged = image.resize(size, Image.Resampling.LANCZOS)
    write_atomically(path, lambda beside: enlarged.save(beside, "PNG"))


class Pace:
    """Seconds per step, recent steps only, blind to pauses."""

    def __init__(self) -> None:
        self.losses: deque[float] = deque(maxlen=200)
        self._durations: deque[float] = deque(maxlen=200)
        self._last = time.monotonic()

    def tick(self, loss: float) -> float:
        """Note a finished step; returns its seconds, at most `LONGEST_STEP_S`."""
        now = time.monotonic()
        duration = min(LONGEST_STEP_S, now - self._last)
        self._last = now
        self.losses.append(loss)
        self._durations.append(duration)
        return duration

    def forget_gap(self) -> None:
        """Leave what was done since the last step (saving, sampling) out of the next one."""
        self._last = time.monotonic()

    @property
    def step_s(self) -> float:
        """Median seconds of the recent steps."""
        return float(np.median(self._durations)) if self._durations else 0.0

    @property
    def loss(self) -> float:
        """Mean of the recent losses."""
        return float(np.mean(self.losses)) if self.losses else math.nan


@contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question the loop can ask between steps."""
    asked = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train(stage: Stage, schedule: Schedule, folder: Path, console: Console) -> None:
    """Run a stage to its last step, resuming from its checkpoint if there is one."""
    checkpoint = folder / f"{stage.name}.pt"
    step = _resume(stage, checkpoint)
    if step >= schedule.steps:
        return
    pace, since_save, since_sample = Pace(), 0.0, 0.0
    with stop_signal() as stop_asked, _progress(console) as progress:
        task = progress.add_task(stage.name, total=schedule.steps, completed=step, note="")
        while step < schedule.steps:
            duration = pace.tick(stage.step(step, step / schedule.steps))
            step, since_save, since_sample = (
                step + 1,
                since_save + duration,
                since_sample + duration,
            )
            progress.update(task, completed=step, note=_note(pace, schedule.steps - step))
            if stop_asked():
                _save(stage, step, checkpoint)
                raise Interrupted(f"{stage.name} stopped at step {step}; go on with --resume")
            if since_sample >= schedule.sample_every_s:
                stage.sample(folder / f"{stage.name}-{step:06d}.png")
                since_sample = 0.0
            if since_save >= schedule.checkpoint_every_s:
                _save(stage, step, checkpoint)
                _tell(console, stage.name, step, schedule.steps, pace)
                since_save = 0.0
            pace.forget_gap()
    _save(stage, step, checkpoint)
    stage.sample(folder / f"{stage.name}-final.png")


def _resume(stage: Stage, checkpoint: Path) -> int:
    if not checkpoint.exists():
        return 0
    saved = torch.load(checkpoint, weights_only=True)
    stage.load(saved["stage"])
    torch.set_rng_state(saved["dice"])
    return int(saved["step"])


def _save(stage: Stage, step: int, checkpoint: Path) -> None:
    saved = {"stage": stage.state(), "step": step, "dice": torch.get_rng_state()}
    write_atomically(checkpoint, lambda beside: torch.save(saved, beside))


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description:>8}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} {task.fields[note]}"),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _note(pace: Pace, steps_left: int) -> str:
    left_s = pace.step_s * steps_left
    return f"loss {pace.loss:.4f}, {left_s / 60:.1f} min left"


def _tell(console: Console, name: str, step: int, steps: int, pace: Pace) -> None:
    """One line per checkpoint where there is no terminal for a bar."""
    if not console.is_terminal:
        console.print(f"{name} {step}/{steps}: {_note(pace, steps - step)}", highlight=False)
