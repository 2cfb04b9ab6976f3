"""The gate's end of the pipes: good replies, garbage, silence and death."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from perfsuite.errors import WorkerFailed
from perfsuite.workers.protocol import (
    Build,
    Channel,
    Failed,
    Hello,
    MakeImages,
    TakeTurn,
    Turn,
    WarmUp,
    decode_request,
    encode,
)
from tests.unit.ab_samples import WORK


@pytest.fixture
def pipe() -> Iterator[tuple[Channel, int]]:
    """A channel, and the end that a worker would write its replies to."""
    requests_out, requests_in = os.pipe()
    replies_out, replies_in = os.pipe()
    to_worker, from_worker = os.fdopen(requests_in, "wb"), os.fdopen(replies_out, "rb")
    yield Channel("control worker", to_worker, from_worker), replies_in
    to_worker.close()
    from_worker.close()
    os.close(requests_out)
    with contextlib.suppress(OSError):  # a test has closed it
        os.close(replies_in)


@pytest.mark.parametrize(
    "request_",
    [
        Build("bf16", "pocket", WORK, WORK, "cpu", 1),
        WarmUp((0, 1)),
        TakeTurn(),
        MakeImages("/tmp/x"),
    ],
)
def test_a_request_arrives_as_it_was_sent(request_: Build | WarmUp | TakeTurn) -> None:
    line = encode(request_)
    assert line.count(b"\n") == 1
    assert decode_request(line) == request_


def test_replies_come_in_order_however_the_pipe_cuts_them(pipe: tuple[Channel, int]) -> None:
    channel, replies = pipe
    said = encode(Turn(0.25, done=True)) + encode(Failed("ValueError: no"))
    for start in range(0, len(said), 7):
        os.write(replies, said[start : start + 7])
    assert channel.receive(1) == Turn(0.25, done=True)
    assert channel.receive(1) == Failed("ValueError: no")


@pytest.mark.parametrize(
    "garbage",
    [b"Loading pipeline: 100%\n", b"\xff\xfe\n", b"{}\n", b'{"message":"Turn"}\n', b"[1, 2\n"],
)
def test_garbage_is_named_and_not_believed(pipe: tuple[Channel, int], garbage: bytes) -> None:
    channel, replies = pipe
    os.write(replies, garbage)
    with pytest.raises(WorkerFailed, match=r"control worker answered '.*', which is no reply"):
        channel.receive(1)


def test_a_worker_that_says_nothing_is_not_waited_for_for_ever(pipe: tuple[Channel, int]) -> None:
    channel, replies = pipe
    os.write(replies, b'{"message":"Sam')
    start = time.monotonic()
    with pytest.raises(WorkerFailed, match=r"has not answered for 0\.1 s"):
        channel.receive(0.1)
    assert time.monotonic() - start < 2


def test_a_line_without_an_end_does_not_fill_the_memory(
    pipe: tuple[Channel, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfsuite.workers.protocol.LONGEST_LINE_BYTES", 100)
    channel, replies = pipe
    os.write(replies, b"x" * 200)
    with pytest.raises(WorkerFailed, match="answers without an end"):
        channel.receive(1)


def test_a_worker_that_has_ended_is_the_end_of_the_file(pipe: tuple[Channel, int]) -> None:
    channel, replies = pipe
    os.close(replies)
    with pytest.raises(EOFError):
        channel.receive(1)


def test_what_libraries_print_never_reaches_the_replies() -> None:
    code = (
        "from perfsuite.workers.main import take_over_pipes\n"
        "import os, sys\n"
        "requests, replies = take_over_pipes()\n"
        "print('noise', flush=True); os.system('echo more noise'); os.write(1, b'and more')\n"
        "replies.write(b'reply to ' + requests.readline())\n"
        "replies.write(str(sys.stdin.read() == '').encode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=b"request\n", capture_output=True, check=True
    )
    assert done.stdout == b"reply to request\nTrue"
    assert done.stderr.split() == [b"noise", b"more", b"noise", b"and", b"more"]


def test_a_missing_library_is_said_even_if_it_is_the_one_that_writes_replies() -> None:
    # Without site-packages there is no msgspec.
    code = "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p]; "
    code += "from perfsuite.workers.main import main; main()"
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as worker:
        assert worker.stdout is not None  # and standard input stays open: a gate waits for replies
        reply = worker.stdout.readline()
    assert reply.startswith(b'{"message": "Failed", "error": "ModuleNotFoundError: No module')


def test_a_greeting_survives_the_journey() -> None:
    greeting = Hello("/src", "/env", "3.11.7", {"torch": "2.13.0"})
    requests_out, requests_in = os.pipe()
    replies_out, replies_in = os.pipe()
    os.write(replies_in, encode(greeting))
    with os.fdopen(requests_in, "wb") as to_worker, os.fdopen(replies_out, "rb") as from_worker:
        assert Channel("control worker", to_worker, from_worker).receive(1) == greeting
    os.close(requests_out)
    os.close(replies_in)
