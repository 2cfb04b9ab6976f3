"""Settings of the whole process: made when measuring begins, undone when it ends."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
