"""Settings of the whole process: made when measuring begins, undone when it ends."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from perfsuite.compiler import COMPILE_CACHE


@contextmanager
def measuring_process(threads: int | None, compile_cache: Path | None = None) -> Iterator[None]:
    """Threads, the compile cache, and what is imported by now out of the collector's sight.

    The libraries are millions of objects; a collection that goes through them takes a quarter of a
    second, and would be taken out of somebody's sample.

    Args:
        threads: CPU threads of torch; None for its own choice.
        compile_cache: folder that survives the session; None for the one that is set.
    """
    threads_before, cache_before = torch.get_num_threads(), os.environ.get(COMPILE_CACHE)
    if threads is not None:
        torch.set_num_threads(threads)
    if compile_cache is not None:
        os.environ[COMPILE_CACHE] = str(compile_cache)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        torch.set_num_threads(threads_before)
        if cache_before is None:
            os.environ.pop(COMPILE_CACHE, None)
        else:
            os.environ[COMPILE_CACHE] = cache_before


def cpu_seconds() -> float:
    """CPU seconds of this process so far, with those of the processes that it has started.

    The compiler's among them: inductor's workers, and what those have waited for.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = time.process_time() + ended.ru_utime + ended.ru_stime
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = child.cpu_times()
            spent += times.user + times.system + times.children_user + times.children_system
    return spent
