"""Commands that end with the process that runs them, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

_SIGNAL_AT_PARENTS_DEATH = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""


def run_child(command: list[str], **options: Any) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run` whose command is killed if this process is.

    A killed session cannot end the pip or the pytest that it has started, and what these would
    still write nobody waits for. Only Linux does this; elsewhere they run to their end.

    Args:
        command: program and arguments.
        **options: of `subprocess.run`.
    """
    return subprocess.run(command, preexec_fn=_bound_to(os.getpid()), **options)


def _bound_to(parent: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def bind() -> None:
        prctl(_SIGNAL_AT_PARENTS_DEATH, signal.SIGKILL)
        if os.getppid() != parent:  # it has died in between
            os._exit(128 + signal.SIGKILL)

    return bind
