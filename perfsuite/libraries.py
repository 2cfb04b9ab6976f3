"""Importing torch, diffusers and torchao without the noise that they print.

torch's CPU build and torchao log about CUDA libraries that are not there, and transformers logs
about torchvision. None of it is of use to somebody who reads a performance report, so it is held
back while importing, and only then.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from collections.abc import Iterator
from types import ModuleType


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Hold back warnings and log records below CRITICAL."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """As `quietly`, and without the progress bars of diffusers and transformers."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    shown = [each for each in (diffusers_logging, transformers_logging) if _shows_progress(each)]
    for each in shown:
        each.disable_progress_bar()
    try:
        with quietly():
            yield
    finally:
        for each in shown:
            each.enable_progress_bar()


def _shows_progress(library_logging: ModuleType) -> bool:
    return bool(library_logging.is_progress_bar_enabled())


_LIBRARIES = ("torch", "torchao.quantization", "transformers", "diffusers")


def is_missing(error: Exception) -> bool:
    """Whether an error says that one of the libraries under test is not installed at all."""
    tops = {name.partition(".")[0] for name in _LIBRARIES}
    return isinstance(error, ModuleNotFoundError) and error.name in tops


def import_libraries() -> None:
    """Import the libraries under test, quietly; takes seconds the first time."""
    with quietly():
        for name in _LIBRARIES:
            importlib.import_module(name)
        # diffusers imports lazily: asking for the class is what loads the pipeline's modules.
        importlib.import_module("diffusers").StableDiffusionXLPipeline  # noqa: B018
