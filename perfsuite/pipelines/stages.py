"""Stages of an image, and listening to the calls that they consist of."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_ABSENT = object()


class Stage(str, enum.Enum):
    """Parts of making one image, in order."""

    TEXT_ENCODERS = "text encoders"
    DENOISING = "denoising"
    SCHEDULER = "scheduler"
    DECODING = "VAE decode"


@dataclass(frozen=True)
class StageCall:
    """A call that belongs to a stage.

    Attributes:
        stage: it belongs to.
        owner: object that the pipeline calls.
        attribute: name of what it calls there.
    """

    stage: Stage
    owner: Any
    attribute: str


Around = Callable[[Stage], contextlib.AbstractContextManager[object]]
"""Entered around every call of a stage."""


@contextlib.contextmanager
def listening(calls: tuple[StageCall, ...], around: Around) -> Iterator[None]:
    """Enter `around` at every call of a stage, until the end of the block.

    The attributes are replaced on the objects themselves, outside of what torch.compile has
    compiled, and put back.
    """
    with contextlib.ExitStack() as undo:
        for call in calls:
            undo.enter_context(_replaced(call, around))
        yield


@contextlib.contextmanager
def _replaced(call: StageCall, around: Around) -> Iterator[None]:
    original = getattr(call.owner, call.attribute)
    before = vars(call.owner).get(call.attribute, _ABSENT)

    def listened(*args: Any, **kwargs: Any) -> Any:
        with around(call.stage):
            return original(*args, **kwargs)

    setattr(call.owner, call.attribute, listened)
    try:
        yield
    finally:
        if before is _ABSENT:
            delattr(call.owner, call.attribute)
        else:
            setattr(call.owner, call.attribute, before)
