"""Everything that can go wrong, as one tree.

    PerfsuiteError
    ├── SettingsError        an option or a [tool.perfsuite] key is not usable
    ├── CheckpointError      weights cannot be had
    │   └── HubUnreachable   … because the hub does not answer
    ├── LadderError          the table of tiers is asked for something that it does not hold
    ├── DeviceError          the device that was asked for is not there
    ├── CompilerMissing      a compiled tier was asked for and there is no C++ compiler
    ├── MeasurementError     samples that cannot be judged (none, negative, not finite)
    ├── BaselineError        a stored baseline cannot be used
    ├── CalibrationError     thresholds of the quality gate cannot be used
    ├── MetricUnavailable    an optional metric has no package or no weights
    ├── ReferenceImageError  a stored reference image cannot be used
    └── OutputError          a result cannot be written

Every message is one line: what is wrong, and the command or option that mends it.
"""

from __future__ import annotations


class PerfsuiteError(Exception):
    """Root of all errors that perfsuite raises on purpose; the message is for people.

    Args:
        problem: what is wrong, naming the offending thing.
        mend: the command or option that mends it.
    """

    def __init__(self, problem: str, *, mend: str) -> None:
        super().__init__(f"{problem}: {mend}" if mend else problem)
        self.problem = problem
        self.mend = mend


class SettingsError(PerfsuiteError):
    """An option or a key of ``[tool.perfsuite]`` has a value that cannot be used."""


class CheckpointError(PerfsuiteError):
    """A checkpoint is unknown, incomplete or cannot be loaded."""


class HubUnreachable(CheckpointError):
    """The hub did not answer and the checkpoint is not in the local cache."""


class LadderError(PerfsuiteError):
    """A tier is unknown, registered twice, or has no path to the ladder's foot."""


class DeviceError(PerfsuiteError):
    """The device that was asked for does not exist on this machine."""


class CompilerMissing(PerfsuiteError):
    """A compiled tier was asked for on a machine without a C++ compiler."""


class MeasurementError(PerfsuiteError):
    """Samples that no verdict may be drawn from."""


class BaselineError(PerfsuiteError):
    """A stored baseline cannot be read, or was recorded for something else."""


class CalibrationError(PerfsuiteError):
    """Thresholds of the quality gate are damaged, or were calibrated for something else."""


class MetricUnavailable(PerfsuiteError):
    """An optional metric was asked for and its package or its weights are not there."""


class ReferenceImageError(PerfsuiteError):
    """A stored reference image is missing, damaged, or was made from something else."""


class OutputError(PerfsuiteError):
    """A result file or folder cannot be written."""
