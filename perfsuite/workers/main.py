"""One arm of the gate, in the Python environment under test: `python -m perfsuite.workers.main`.

This module imports nothing but the standard library and what needs no more, until the pipes are
safe: libraries print while they are imported too.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from perfsuite.errors import head_of
from perfsuite.libraries import import_libraries, is_missing

if TYPE_CHECKING:
    from perfsuite.workers.server import Workbench


def take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Requests and replies, out of reach of everything that reads or prints.

    Returns:
        Where requests come in and where replies go out; standard input is empty from now on, and
        standard output goes to standard error.
    """
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def end_with_the_gate(requests: BinaryIO) -> threading.Thread:
    """End this process and all that it has started once nobody can send requests any more.

    A gate that is killed cannot end its workers, and one that compiles does not look for requests.
    The thread sleeps in the kernel until then, and takes nothing from a sample.
    """
    pipe = select.poll()
    pipe.register(requests, 0)  # hanging up is told of unasked

    def watch() -> None:
        pipe.poll()
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def main(make_bench: Callable[[], Workbench] | None = None) -> None:
    """Serve whoever started this process; what cannot even be imported is said, too.

    Args:
        make_bench: called once the libraries are imported; None for the gate's own workbench.
    """
    requests, replies = take_over_pipes()
    of_libraries = True
    ending = end_with_the_gate(requests)
    try:
        import_libraries()
        of_libraries = False
        from perfsuite.workers.server import Workbench, serve

        bench = make_bench() if make_bench else Workbench()
    except Exception as error:
        # By hand: the library that writes the other replies may be what is missing.
        failed = {
            "message": "Failed",
            "error": head_of(error),
            "of_libraries": of_libraries and not is_missing(error),
        }
        replies.write(json.dumps(failed).encode() + b"\n")
        return
    with contextlib.suppress(SystemExit):  # the gate went in the middle of an image
        serve(requests, replies, bench)
    ending.join(timeout=5)


if __name__ == "__main__":
    main()
