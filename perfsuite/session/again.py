"""An image that has failed, made once more in a fresh process: `python -m perfsuite.session.again`.

Some code has two answers to one question, each of them stable within a process: another algorithm
is chosen, another kernel is cached. Retrying until one passes would hide it; making the image once
more tells it apart from plain damage. The verdict is not changed for the better by it.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from perfsuite.checkpoints import Checkpoint, checkpoint_names, find_checkpoint
from perfsuite.device import find_device
from perfsuite.errors import head_of
from perfsuite.images.generate import GeneratedImage, generate
from perfsuite.images.metrics import psnr_db
from perfsuite.images.references import References
from perfsuite.judge.again import judge_again
from perfsuite.ladder import BuiltTier, build_tier, find_tiers
from perfsuite.libraries import import_libraries, quietly
from perfsuite.results.again_reasons import Bimodal, NotMadeAgain, SameAgain, Unstable
from perfsuite.workload import Shot, Workload

TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Request:
    """What the fresh process is asked to do.

    Attributes:
        conftests: files that may have registered the tier.
        checkpoint: name or folder of the session's.
        tier: that failed.
        device: as torch spells it.
        threads: of torch.
        exact_only: whether what changes precision was left out.
        workload: that the image was made for.
        index: of the shot.
        target: file for what was made.
    """

    conftests: tuple[str, ...]
    checkpoint: str
    tier: str
    device: str
    threads: int
    exact_only: bool
    workload: Workload
    index: int
    target: str


@dataclass(frozen=True)
class MadeAgain:
    """One image made twice in a fresh process, or why it was not.

    Attributes:
        images: both makings; empty if it could not be made.
        problem: why not.
    """

    images: tuple[GeneratedImage, ...] = ()
    problem: str = ""


def make_again(built: BuiltTier, shot: Shot, *, exact_only: bool) -> MadeAgain:
    """Make an image of a built tier twice in a fresh process.

    Args:
        built: the tier that made it first.
        shot: prompt and seed.
        exact_only: whether it was built without what changes precision.
    """
    import torch

    wish = _wish(built.checkpoint)
    if wish is None:
        return MadeAgain(problem=f"checkpoint '{built.checkpoint.name}' has no name or folder")
    with tempfile.TemporaryDirectory(prefix="perfsuite-again-") as folder:
        target = Path(folder, "image.npz")
        request = Request(
            _conftests(),
            wish,
            built.tier.name,
            built.device.name,
            torch.get_num_threads(),
            exact_only,
            built.quality,
            shot.index,
            str(target),
        )
        command = [sys.executable, "-m", __name__]
        try:
            done = subprocess.run(
                command,
                input=msgspec.json.encode(request),
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return MadeAgain(problem=f"it took longer than {TIMEOUT_S:.0f} s")
        if done.returncode != 0 or not target.is_file():
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            return MadeAgain(problem=lines[-1] if lines else f"it ended with {done.returncode}")
        return MadeAgain(_read(target, shot))


def _read(target: Path, shot: Shot) -> tuple[GeneratedImage, ...]:
    with np.load(target) as made:
        return tuple(
            GeneratedImage(shot, made[f"pixels{n}"], made[f"latents{n}"], bool(made[f"finite{n}"]))
            for n in (0, 1)
        )


@dataclass(frozen=True)
class Repeated:
    """What came of making a failed image once more.

    Attributes:
        reason: what it means.
        other: the fresh process's image, where it is another one.
    """

    reason: Bimodal | SameAgain | Unstable | NotMadeAgain
    other: GeneratedImage | None = None


def try_again(
    built: BuiltTier, failed: GeneratedImage, references: References, *, exact_only: bool
) -> Repeated:
    """Make a failed image once more here, and twice in a fresh process.

    Args:
        built: the tier that made it.
        failed: the image.
        references: that it was held against.
        exact_only: whether the tier was built without what changes precision.
    """
    made = make_again(built, failed.shot, exact_only=exact_only)
    if made.problem:
        return Repeated(NotMadeAgain(made.problem))
    here = generate(built.pipeline, built.quality, failed.shot)
    first, second = made.images
    scores = references.score((failed, first), built.quality)
    reason = judge_again(
        _between(failed, here),
        _between(first, second),
        _between(failed, first),
        scores[0].ssim,
        scores[1].ssim,
    )
    return Repeated(reason, first if isinstance(reason, Bimodal) else None)


def _between(one: GeneratedImage, other: GeneratedImage) -> float:
    """PSNR of two images in float32; 0 if they cannot be compared."""
    if one.pixels.shape != other.pixels.shape or not (one.finite and other.finite):
        return 0.0
    return psnr_db(one.pixels, other.pixels)


def _wish(checkpoint: Checkpoint) -> str | None:
    """How the checkpoint is named on a command line; None if it cannot be."""
    if checkpoint.name in checkpoint_names():
        return checkpoint.name
    folder = getattr(checkpoint.source, "folder", None)
    return str(folder) if folder is not None else None


def _conftests() -> tuple[str, ...]:
    """The conftests that this process has loaded, outermost first."""
    files = {str(getattr(module, "__file__", None)) for module in tuple(sys.modules.values())}
    own = [file for file in files if Path(file).name == "conftest.py" and Path(file).is_file()]
    return tuple(sorted(own, key=lambda file: (file.count(os.sep), file)))


def main() -> int:
    """Read a request, make the image twice, and write it."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    try:
        with quietly():
            import_libraries()
            for number, file in enumerate(request.conftests):
                _load(file, f"perfsuite_conftest_{number}")
            made = _make(request)
    except Exception as error:
        print(head_of(error), file=sys.stderr)
        return 1
    arrays: dict[str, Any] = {}
    for number, image in enumerate(made):
        arrays |= {
            f"pixels{number}": image.pixels,
            f"latents{number}": image.latents,
            f"finite{number}": np.asarray(image.finite),
        }
    np.savez(request.target, **arrays)
    return 0


def _make(request: Request) -> tuple[GeneratedImage, ...]:
    import torch

    torch.set_num_threads(request.threads)
    (tier,) = find_tiers([request.tier])
    checkpoint, device = find_checkpoint(request.checkpoint), find_device(request.device)
    shot = next(each for each in request.workload.shots() if each.index == request.index)
    with build_tier(tier, checkpoint, device, exact_only=request.exact_only) as built:
        return tuple(generate(built.pipeline, request.workload, shot) for _ in range(2))


def _load(file: str, name: str) -> None:
    """Run a conftest; one that cannot be loaded alone may not be the one that is needed."""
    sys.path.insert(0, str(Path(file).parent))
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        return
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except Exception as error:
        print(f"{file}: {head_of(error)}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
