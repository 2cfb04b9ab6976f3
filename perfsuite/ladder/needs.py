"""What changes can need of device and libraries, and how it is seen that it is not there."""

from __future__ import annotations

import importlib.util

from perfsuite.device import Device
from perfsuite.ladder.builder import Need
from perfsuite.results.support_reasons import NeedsPackage, Obstacle

METHODS_EXTRA = "methods"
"""The extra of perfsuite that holds the packages of methods."""


def is_installed(package: str) -> bool:
    """Whether a Python package can be imported; it is not imported."""
    return importlib.util.find_spec(package) is not None


def installed(package: str, extra: str = "") -> Need:
    """The need of a Python package.

    Args:
        package: its name, which is that of its module.
        extra: of perfsuite, that installs it.
    """

    def need(_device: Device) -> Obstacle | None:
        return None if is_installed(package) else NeedsPackage(package, extra)

    return need
