"""One arm of the gate, as the session sees it: a live process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypeVar

from safetensors.numpy import load_file

from perfsuite.errors import ArmFailed, EnvironmentBroken, GateError, WorkerFailed
from perfsuite.images.generate import GeneratedImage
from perfsuite.results.ab import Arm
from perfsuite.workers.protocol import (
    Begin,
    Begun,
    Build,
    Built,
    Channel,
    Count,
    Counts,
    Failed,
    Finish,
    Finished,
    Hello,
    ImagesMade,
    MakeImages,
    Request,
    TakeTurn,
    Turn,
    WarmedUp,
    WarmUp,
)
from perfsuite.workload import Workload

Expected = TypeVar("Expected")


class OutOfDeviceMemory(ArmFailed):
    """The accelerator's memory is too small for what is on it."""


class LibrariesBroken(ArmFailed):
    """The libraries under test are there, and do not import together."""


_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
"""Signals by which code ends itself, unlike those that others send."""


class Worker(Protocol):
    """One start of one arm. Every method may raise ArmFailed or WorkerFailed.

    What the code under test does to itself, by an error or by a crash, is ArmFailed.
    """

    def start(self) -> Hello:
        """Wait until it is up.

        Raises:
            EnvironmentBroken: it cannot work.
            LibrariesBroken: it is the treatment and its libraries do not import.
        """

    def build(self, request: Build) -> Built:
        """Build a tier and make one image."""

    def warm_up(self, cores: tuple[int, ...]) -> WarmedUp:
        """Make images until latency has settled."""

    def count(self) -> Counts:
        """Count what the tier asks of torch."""

    def begin(self) -> None:
        """Sampling begins: memory, CPU time and what else goes on count from here."""

    def turn(self) -> Turn:
        """Work on an image until the next pause, or its end."""

    def finish(self) -> Finished:
        """What there was beside the samples."""

    def images(self, workload: Workload) -> tuple[GeneratedImage, ...]:
        """Images of the quality workload."""

    def close(self) -> None:
        """End it, whatever it is doing; never raises."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds after which a worker counts as hung.

    Attributes:
        start_s: for importing the libraries.
        build_s: for loading, compiling and the first image.
        image_s: for one image.
    """

    start_s: float = 300.0
    build_s: float = 3600.0
    image_s: float = 300.0


@dataclass(frozen=True)
class Launch:
    """How a worker is started.

    Attributes:
        name: which arm it is.
        python: the interpreter.
        source: folder that holds this perfsuite's package and nothing else.
        log: where its standard error goes.
        scratch: folder for images; removed by the session.
        cache: folder of compiled graphs.
        program: module that serves as the worker, and its arguments.
    """

    name: Arm
    python: Path
    source: Path
    log: Path
    scratch: Path
    cache: Path
    program: tuple[str, ...] = ("perfsuite.workers.main",)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables: nobody spins while the other arm works, nothing is shared."""
        return os.environ | {
            "PYTHONPATH": str(self.source),
            "PYTHONUNBUFFERED": "1",
            "PYTHONNOUSERSITE": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            "GOMP_SPINCOUNT": "0",
            "KMP_BLOCKTIME": "0",
            "TORCHINDUCTOR_CACHE_DIR": str(self.cache / "inductor"),
            "TRITON_CACHE_DIR": str(self.cache / "triton"),
        }


class WorkerProcess:
    """A worker process."""

    def __init__(self, launch: Launch, timeouts: Timeouts | None = None) -> None:
        self._launch = launch
        self._timeouts = timeouts or Timeouts()
        self._log: IO[bytes] = launch.log.open("ab")
        try:
            self._process = subprocess.Popen(
                [launch.python, "-m", *launch.program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                cwd=launch.source,  # `-m` puts the working directory first on sys.path
                env=launch.environment,
                start_new_session=True,  # Ctrl-C is for the gate, which then ends its workers
            )
        except OSError as error:
            self._log.close()
            raise EnvironmentBroken(
                f"{launch.python} does not start ({error.strerror})",
                hint=f"name another --{launch.name.value}",
            ) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        name = f"{launch.name.value} worker"
        self._channel = Channel(name, self._process.stdin, self._process.stdout)
        self._is_up = False

    def start(self) -> Hello:
        """Wait until the libraries are imported, and see that it runs this perfsuite."""
        hint = f"fix it, or name another --{self._launch.name.value}"
        try:
            hello = self._expect(Hello, self._timeouts.start_s)
        except ArmFailed as error:
            if isinstance(error, LibrariesBroken) and error.treatment:
                raise
            problem = f"perfsuite cannot work with {self._launch.python} ({error.problem})"
            raise EnvironmentBroken(problem, hint=hint) from None
        except WorkerFailed as error:
            if -(self._process.poll() or 0) not in _CRASHES:
                raise
            if self._launch.name is Arm.TREATMENT:
                raise LibrariesBroken(error.problem, hint=error.hint, treatment=True) from None
            raise EnvironmentBroken(error.problem, hint=hint) from None
        own = (self._launch.source / "perfsuite").resolve()
        if Path(hello.source) != own:
            problem = f"{self._launch.python} runs the perfsuite of {hello.source}, not {own}"
            raise EnvironmentBroken(problem, hint=hint)
        self._is_up = True
        return hello

    def build(self, request: Build) -> Built:
        """Build a tier and make one image."""
        return self._ask(request, Built, self._timeouts.build_s)

    def warm_up(self, cores: tuple[int, ...]) -> WarmedUp:
        """Make images until latency has settled."""
        return self._ask(WarmUp(cores), WarmedUp, self._timeouts.build_s)

    def count(self) -> Counts:
        """Count what the tier asks of torch, in a pass of its own."""
        return self._ask(Count(), Counts, self._timeouts.build_s)

    def begin(self) -> None:
        """Count from here."""
        self._ask(Begin(), Begun, self._timeouts.image_s)

    def turn(self) -> Turn:
        """Work on an image until the next pause, or its end."""
        return self._ask(TakeTurn(), Turn, self._timeouts.image_s)

    def finish(self) -> Finished:
        """What there was beside the samples."""
        return self._ask(Finish(), Finished, self._timeouts.image_s)

    def images(self, workload: Workload) -> tuple[GeneratedImage, ...]:
        """Images of the quality workload, through a file."""
        path = self._launch.scratch / f"{self._launch.name.value}.safetensors"
        shots = tuple(workload.shots())
        made = self._ask(MakeImages(str(path)), ImagesMade, self._timeouts.image_s * len(shots))
        tensors = load_file(path)
        path.unlink()
        return tuple(
            GeneratedImage(
                shot, tensors[f"pixels {shot.index}"], tensors[f"latents {shot.index}"], finite
            )
            for shot, finite in zip(shots, made.finite, strict=True)
        )

    def close(self) -> None:
        """Kill the worker and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            with contextlib.suppress(OSError):  # a request that nobody will read any more
                if pipe is not None:
                    pipe.close()

    def _ask(self, request: Request, expected: type[Expected], timeout_s: float) -> Expected:
        try:
            self._channel.send(request)
        except EOFError:
            raise self._died() from None
        return self._expect(expected, timeout_s)

    def _expect(self, expected: type[Expected], timeout_s: float) -> Expected:
        try:
            reply = self._channel.receive(timeout_s)
        except EOFError:
            raise self._died() from None
        if isinstance(reply, Failed):
            if reply.of_conftests:
                hint = "install what they import, or leave these tiers out with --tiers"
                raise EnvironmentBroken(f"{self._launch.python}: {reply.error}", hint=hint)
            said, kind = reply.error, OutOfDeviceMemory if reply.out_of_memory else ArmFailed
            if reply.of_libraries:
                said, kind = f"its libraries do not import ({said})", LibrariesBroken
            raise kind(
                said,
                hint=f"its log is {self._launch.log}",
                treatment=self._launch.name is Arm.TREATMENT,
            )
        if not isinstance(reply, expected):
            problem = f"the {self._launch.name.value} worker answered out of turn"
            raise WorkerFailed(problem, hint=f"its log is {self._launch.log}")
        return reply

    def _died(self) -> GateError:
        """The error that says how it ended and what it last said.

        Once it is up, a crash is that arm's failure as an exception is: its code has ended the
        process. A signal that somebody else sends (the kernel short of memory, a person) says
        nothing of the arm.
        """
        code = self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        said = _last_line(self._launch.log)
        problem = f"the {self._launch.name.value} worker {how}" + (f" ({said})" if said else "")
        memory = "free memory; " if code == -signal.SIGKILL else ""
        hint = f"{memory}its log is {self._launch.log}"
        if self._is_up and (code >= 0 or -code in _CRASHES):
            return ArmFailed(problem, hint=hint, treatment=self._launch.name is Arm.TREATMENT)
        return WorkerFailed(problem, hint=hint)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    return lines[-1].strip() if lines else ""
