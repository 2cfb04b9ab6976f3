"""What the gate and its workers say to each other: one JSON object a line, one reply a request.

The first line is the worker's `Hello` (or `Failed`), unasked. Libraries print whatever they like to
standard output, so the worker keeps a duplicate of it for replies alone and points the original at
standard error.
"""

from __future__ import annotations

import os
import select
import time
from typing import IO, Any

import msgspec

from perfsuite.errors import WorkerFailed
from perfsuite.results.counters import TierCounters
from perfsuite.results.machine import Conditions
from perfsuite.results.method import Finding
from perfsuite.results.samples import PeakMemory
from perfsuite.workload import Workload

LONGEST_LINE_BYTES = 4 << 20
_AGAIN = "run perfsuite gate again; the worker's log is kept beside the record"


class Message(msgspec.Struct, frozen=True, tag_field="message"):
    """Something said, named by its class."""


class Build(Message, frozen=True):
    """Load the checkpoint, make the tier's changes and one image, which compiles what there is.

    Attributes:
        tier: name of the tier.
        checkpoint: a registered name, or an absolute path.
        latency: what is timed.
        quality: what images are made of.
        device: as torch spells it.
        threads: CPU threads of torch; None for torch's own choice.
        conftests: folder of the project whose conftests register tier or checkpoint; None if they
            are perfsuite's own.
    """

    tier: str
    checkpoint: str
    latency: Workload
    quality: Workload
    device: str
    threads: int | None
    conftests: str | None = None


class WarmUp(Message, frozen=True):
    """Make images until latency has settled.

    Attributes:
        cores: CPU cores to stay on from now on; empty for no preference.
    """

    cores: tuple[int, ...]


class Begin(Message, frozen=True):
    """Sampling begins: count from here."""


class TakeTurn(Message, frozen=True):
    """Go on with the image under way, or begin the next one, until the next pause."""


class Count(Message, frozen=True):
    """Count what the tier asks of torch."""


class MakeImages(Message, frozen=True):
    """Make the quality workload's images.

    Attributes:
        path: where to store pixels and latents (safetensors).
    """

    path: str


class Finish(Message, frozen=True):
    """Say what there was beside the samples."""


class Hello(Message, frozen=True):
    """The worker is up, its libraries are imported.

    Attributes:
        source: folder of the perfsuite that it runs.
        prefix: of its Python environment.
        python: version of the interpreter.
        packages: version of every installed distribution.
    """

    source: str
    prefix: str
    python: str
    packages: dict[str, str]


class Built(Message, frozen=True):
    """The tier is built and has made one image.

    Attributes:
        build_s: seconds for loading and changing the pipeline.
        first_image_s: seconds of the first image; holds the compilation.
        findings: what building brought to light.
        device_used_bytes: of the accelerator's memory, by this worker; None on a CPU.
        device_free_bytes: of the accelerator's memory; None on a CPU.
    """

    build_s: float
    first_image_s: float
    findings: tuple[Finding, ...]
    device_used_bytes: int | None = None
    device_free_bytes: int | None = None


class WarmedUp(Message, frozen=True):
    """Latency has settled.

    Attributes:
        warmup_s: seconds of each image since the first.
    """

    warmup_s: tuple[float, ...]


class Counts(Message, frozen=True):
    """What was counted.

    Attributes:
        counters: None if these libraries do not let it be counted.
        unsupported: why they do not; empty if they do.
    """

    counters: TierCounters | None
    unsupported: str = ""


class Begun(Message, frozen=True):
    """Counting."""


class Turn(Message, frozen=True):
    """A turn is over: a pause after a denoising step, or the image is done.

    Attributes:
        seconds: of work since the turn began, by the clock of the device.
        done: whether the image is.
    """

    seconds: float
    done: bool


class ImagesMade(Message, frozen=True):
    """The images are where they were asked for.

    Attributes:
        finite: of each, whether all its numbers are finite.
    """

    finite: tuple[bool, ...]


class Finished(Message, frozen=True):
    """What there was beside the samples.

    Attributes:
        memory: peak while sampling.
        graph_breaks: since the worker began.
        recompiles: graphs compiled after the first image.
        late_recompiles: those of them that were compiled while sampling.
        conditions: what else went on while sampling, this worker's turns and the other's.
        cpu_s: CPU seconds of this worker while sampling.
        wall_s: seconds since sampling began.
    """

    memory: PeakMemory
    graph_breaks: int
    recompiles: int
    late_recompiles: int
    conditions: Conditions
    cpu_s: float
    wall_s: float


class Failed(Message, frozen=True):
    """What was asked for raised an error.

    Attributes:
        error: its type and first line.
        out_of_memory: whether the device's memory was too small.
        of_libraries: whether the libraries under test are there and do not import.
        of_conftests: whether the project's conftests cannot be loaded.
    """

    error: str
    out_of_memory: bool = False
    of_libraries: bool = False
    of_conftests: bool = False


Request = Build | WarmUp | Count | Begin | TakeTurn | MakeImages | Finish
Reply = Hello | Built | WarmedUp | Counts | Begun | Turn | ImagesMade | Finished | Failed
_REQUESTS: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Request)
_REPLIES: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Reply)


def encode(message: Message) -> bytes:
    """A message as one line."""
    return msgspec.json.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """A request from a line.

    Raises:
        msgspec.DecodeError: it is none.
    """
    request: Request = _REQUESTS.decode(line)
    return request


class Channel:
    """The gate's end of a worker's pipes: sends requests, waits for replies, never for ever.

    Waiting is sleeping: nothing may spin while an arm takes its sample.

    Args:
        name: of the worker, for people.
        to_worker: the worker's standard input.
        from_worker: the worker's replies.
    """

    def __init__(self, name: str, to_worker: IO[bytes], from_worker: IO[bytes]) -> None:
        self._name = name
        self._to_worker = to_worker
        self._from_worker = from_worker
        self._read = bytearray()

    def send(self, request: Request) -> None:
        """Hand over a request.

        Raises:
            EOFError: the worker has ended.
        """
        try:
            self._to_worker.write(encode(request))
            self._to_worker.flush()
        except OSError:
            raise EOFError from None

    def receive(self, timeout_s: float) -> Reply:
        """The next reply.

        Raises:
            EOFError: the worker has ended.
            WorkerFailed: no reply in time, or a line that is none.
        """
        line = self._next_line(time.monotonic() + timeout_s, timeout_s)
        try:
            reply: Reply = _REPLIES.decode(line)
            return reply
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            said = line[:60].decode(errors="replace").strip()
            raise WorkerFailed(
                f"the {self._name} answered '{said}', which is no reply ({error})", hint=_AGAIN
            ) from None

    def _next_line(self, deadline: float, timeout_s: float) -> bytes:
        while b"\n" not in self._read:
            if len(self._read) > LONGEST_LINE_BYTES:
                problem = f"the {self._name} answers without an end"
                raise WorkerFailed(problem, hint=_AGAIN)
            self._fill(deadline, timeout_s)
        line, _, rest = self._read.partition(b"\n")
        self._read = rest
        return bytes(line)

    def _fill(self, deadline: float, timeout_s: float) -> None:
        ready, _, _ = select.select(
            [self._from_worker], [], [], max(0, deadline - time.monotonic())
        )
        if not ready:
            problem = f"the {self._name} has not answered for {timeout_s:g} s"
            raise WorkerFailed(problem, hint=_AGAIN)
        block = os.read(self._from_worker.fileno(), 1 << 16)
        if not block:
            raise EOFError
        self._read += block
