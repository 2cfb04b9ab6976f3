"""What a worker does: builds a tier, times one image when told to, and sleeps in between.

An image is made by turns: after each denoising step the worker says how long it worked, and sleeps
until it is told to go on. Nothing is judged here, so that both arms are judged by the same code.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors.numpy import save_file

import perfsuite
from perfsuite.checkpoints import find_checkpoint
from perfsuite.conftests import load_conftests
from perfsuite.device import find_device
from perfsuite.environment import installed_versions
from perfsuite.errors import SettingsError, head_of
from perfsuite.images.generate import generate, run
from perfsuite.ladder import BuiltTier, build_tier, find_tiers
from perfsuite.libraries import quietly
from perfsuite.measure.compiling import compiler_findings
from perfsuite.measure.conditions import FakeWatch, Watch, watch_for
from perfsuite.measure.counters import count_tier
from perfsuite.measure.graphs import compiled_graphs
from perfsuite.measure.warmup import WarmupRule, warm_up
from perfsuite.out_of_memory import is_out_of_memory, let_go
from perfsuite.process import measuring_process
from perfsuite.workers.protocol import (
    Begin,
    Begun,
    Build,
    Built,
    Count,
    Counts,
    Failed,
    Finish,
    Finished,
    Hello,
    ImagesMade,
    MakeImages,
    Reply,
    Request,
    TakeTurn,
    Turn,
    WarmedUp,
    WarmUp,
    decode_request,
    encode,
)
from perfsuite.workload import Workloads

WARMUP = WarmupRule(20.0)
Pause = Callable[[Turn], None]
"""Reports a turn, and comes back when the next one may begin."""


def straight_on(turn: Turn) -> None:
    """The pause of an image that nothing takes turns with."""


class Workbench:
    """A tier in the making, and what was counted so far."""

    def __init__(self) -> None:
        self._tier: BuiltTier | None = None
        self._image: Callable[..., object] = lambda: None
        self._watch: Watch = FakeWatch()
        self._graphs_at_first = 0
        self._graphs_before_sampling = 0
        self._process = ExitStack()  # undone by the end of the process
        self._registered: set[str] = set()
        self._cpu_s = 0.0
        self._since_s = 0.0

    def answer(self, request: Request, pause: Pause = straight_on) -> Reply:
        """Do what is asked; an error becomes a reply.

        Args:
            request: what is asked.
            pause: called after each turn of an image but the last, which is the reply.
        """
        try:
            return self._do(request, pause)
        except Exception as error:
            out_of_memory = is_out_of_memory(error)
            if out_of_memory:
                let_go(error)
            of_conftests = isinstance(error, SettingsError)
            return Failed(head_of(error), out_of_memory, of_conftests=of_conftests)

    def _do(self, request: Request, pause: Pause) -> Reply:
        match request:
            case Build():
                return self._build(request)
            case WarmUp():
                return self._warm_up(request)
            case Count():
                return self._count()
            case Begin():
                return self._begin()
            case TakeTurn():
                return self._sample(pause)
            case MakeImages():
                return self._make_images(Path(request.path))
            case Finish():
                return self._finish()

    @property
    def _built(self) -> BuiltTier:
        if self._tier is None:
            raise RuntimeError("nothing is built yet")
        return self._tier

    def _build(self, request: Build) -> Built:
        self._register(request.conftests)
        self._process.enter_context(measuring_process(request.threads))
        device = find_device(request.device)
        (tier,) = find_tiers([request.tier])
        workloads = Workloads(request.latency, request.quality)
        built = build_tier(tier, find_checkpoint(request.checkpoint), device, workloads=workloads)
        self._tier = built
        shot = next(built.latency.shots())
        self._image = lambda **options: run(built.pipeline, built.latency, shot, **options)
        with compiler_findings() as found:
            first_image_s = device.timed(self._image)[0]
        self._graphs_at_first = compiled_graphs()
        used = int(torch.accelerator.max_memory_reserved()) if device.is_accelerator else None
        return Built(
            built.build_s, first_image_s, (*built.findings, *found), used, device.free_memory()
        )

    def _register(self, folder: str | None) -> None:
        """Load the project's conftests, once: they register what is asked for."""
        if folder is not None and folder not in self._registered:
            load_conftests(Path(folder))
            self._registered.add(folder)

    def _warm_up(self, request: WarmUp) -> WarmedUp:
        if request.cores:
            stay_on(request.cores)
        device = self._built.device
        return WarmedUp(warm_up(WARMUP, lambda _: device.timed(self._image)[0]).images_s)

    def _count(self) -> Counts:
        """What cannot be counted with these libraries is no fault of theirs."""
        try:
            return Counts(count_tier(self._built))
        except Exception as error:
            return Counts(None, head_of(error))

    def _begin(self) -> Begun:
        device = self._built.device
        gc.collect()
        gc.freeze()  # the libraries are millions of objects: going through them takes a sample long
        if device.is_accelerator:  # what compiling and tuning have left is not the tier's
            device.release_memory()
            device.timed(self._image)
        device.reset_peak_memory()
        self._graphs_before_sampling = compiled_graphs()
        self._watch = watch_for(device)
        self._watch.start()
        self._cpu_s, self._since_s = time.process_time(), time.monotonic()
        return Begun()

    def _sample(self, pause: Pause) -> Turn:
        device = self._built.device
        self._watch.between_samples()
        gc.collect(0)
        if device.is_accelerator:
            return Turn(device.timed(self._image)[0], done=True)
        start = time.perf_counter()

        def rest(step: int) -> None:
            nonlocal start
            pause(Turn(time.perf_counter() - start, done=False))
            start = time.perf_counter()

        self._image(on_step=rest)
        return Turn(time.perf_counter() - start, done=True)

    def _finish(self) -> Finished:
        graphs = compiled_graphs()
        return Finished(
            memory=self._built.device.peak_memory(self._built.held_bytes),
            graph_breaks=sum(torch._dynamo.utils.counters["graph_break"].values()),
            recompiles=graphs - self._graphs_at_first,
            late_recompiles=graphs - self._graphs_before_sampling,
            conditions=self._watch.finish(),
            cpu_s=time.process_time() - self._cpu_s,
            wall_s=time.monotonic() - self._since_s,
        )

    def _make_images(self, path: Path) -> ImagesMade:
        built = self._built
        workload = built.quality
        images = [generate(built.pipeline, workload, shot) for shot in workload.shots()]
        # safetensors writes an array's memory as it lies, whatever its strides say: hence copies.
        tensors = {f"pixels {image.shot.index}": image.pixels.copy("C") for image in images}
        tensors |= {f"latents {image.shot.index}": image.latents.copy("C") for image in images}
        save_file(tensors, path)
        return ImagesMade(tuple(image.finite for image in images))


def stay_on(cores: tuple[int, ...]) -> None:
    """Keep every thread of this process on these cores, where the system can."""
    tasks = Path("/proc/self/task")
    if not hasattr(os, "sched_setaffinity") or not tasks.is_dir():
        return
    for task in tasks.iterdir():
        os.sched_setaffinity(int(task.name), cores)


def describe() -> Hello:
    """What this worker is."""
    source = Path(perfsuite.__file__).resolve().parent
    python = ".".join(str(part) for part in sys.version_info[:3])
    return Hello(str(source), sys.prefix, python, installed_versions())


def serve(requests: BinaryIO, replies: BinaryIO, bench: Workbench) -> None:
    """Say hello, then answer until there are no more requests."""

    def pause(turn: Turn) -> None:
        replies.write(encode(turn))
        line = requests.readline()
        if not line:
            raise SystemExit  # whoever asked is gone: nobody waits for the image
        if not isinstance(decode_request(line), TakeTurn):
            raise RuntimeError("an image is under way")

    replies.write(encode(describe()))
    while line := requests.readline():
        with quietly():
            reply = bench.answer(decode_request(line), pause)
        replies.write(encode(reply))
