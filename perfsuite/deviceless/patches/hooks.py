"""Replacing a private name of a library, or saying that it has moved."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from perfsuite.errors import HookMoved


def find(path: str) -> Any:
    """What stands at a dotted path: modules are imported, then attributes followed.

    Raises:
        HookMoved: there is nothing.
    """
    owner, name = _owner(path)
    try:
        return vars(owner)[name] if isinstance(owner, type) else getattr(owner, name)
    except (AttributeError, KeyError):
        raise HookMoved(path) from None


@contextlib.contextmanager
def replaced(path: str, value: object) -> Iterator[None]:
    """Put another value at a dotted path until the end of the block.

    Raises:
        HookMoved: nothing stands there.
    """
    before = find(path)
    owner, name = _owner(path)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _owner(path: str) -> tuple[Any, str]:
    """The module or class that a path's last name belongs to."""
    *names, last = path.split(".")
    owner: Any = None
    for place, name in enumerate(names, 1):
        try:
            owner = getattr(owner, name) if owner is not None else importlib.import_module(name)
        except (AttributeError, ImportError):
            try:
                owner = importlib.import_module(".".join(names[:place]))
            except ImportError:
                raise HookMoved(path) from None
    return owner, last
