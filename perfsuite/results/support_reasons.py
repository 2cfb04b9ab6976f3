"""Why a tier cannot be had here; see `perfsuite.results.reasons`."""

from __future__ import annotations

from perfsuite.results.picture_reasons import CodedReason


class NeedsPackage(CodedReason, frozen=True):
    """A Python package is not installed.

    Attributes:
        package: its name in the index.
        extra: of perfsuite, that installs it; empty if none does.
    """

    package: str
    extra: str = ""


class NeedsHardware(CodedReason, frozen=True):
    """The device cannot do it.

    Attributes:
        needed: what it would have to be or have, for people.
    """

    needed: str


class NeedsLibrary(CodedReason, frozen=True):
    """A library that is installed does not have it.

    Attributes:
        library: its name and version.
        lacks: what it does not have, for people.
    """

    library: str
    lacks: str


class NoCounterpart(CodedReason, frozen=True):
    """The method needs weights that are not known for the session's checkpoint.

    Attributes:
        checkpoint: names it.
        method: that needs weights of its own.
    """

    checkpoint: str
    method: str


class NeedsMemory(CodedReason, frozen=True):
    """It is planned to need more memory than is free on the device.

    Attributes:
        needed_bytes: planned, with what the device's driver and libraries take.
        free_bytes: of the device.
    """

    needed_bytes: int
    free_bytes: int


Obstacle = NeedsPackage | NeedsHardware | NeedsLibrary | NoCounterpart | NeedsMemory
