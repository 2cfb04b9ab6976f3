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
def overheard(name: str) -> Iterator[list[str]]:
    """Collect what a library warns of, without having it printed; `quietly` would lose it.

    Args:
        name: of its logger; those below it are heard too.

    Yields:
        First lines of warnings and errors, in order.
    """
    heard = _Collector(logging.WARNING)
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = {h for each in loggers if isinstance(each, logging.Logger) for h in each.handlers}
    if logging.lastResort is not None:
        handlers.add(logging.lastResort)
    disabled, listened_to = logging.root.manager.disable, logging.getLogger(name)
    for handler in handlers:
        handler.addFilter(_only_critical)
    listened_to.addHandler(heard)
    logging.disable(logging.NOTSET)
    try:
        yield heard.lines
    finally:
        logging.disable(disabled)
        listened_to.removeHandler(heard)
        for handler in handlers:
            handler.removeFilter(_only_critical)


class _Collector(logging.Handler):
    """Keeps the first line of every record."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it; one that cannot be formatted is kept as it was written."""
        try:
            said = record.getMessage()
        except Exception:
            said = str(record.msg)
        self.lines.append(said.strip().partition("\n")[0])


def _only_critical(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.CRITICAL


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
