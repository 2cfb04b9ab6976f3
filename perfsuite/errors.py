"""Everything that can go wrong, as one tree.

    PerfsuiteError
    ├── SettingsError        an option or a [tool.perfsuite] key is not usable
    ├── CheckpointError      weights cannot be had
    │   └── HubUnreachable   … because the hub does not answer
    ├── LadderError          the table of tiers is asked for something that it does not hold
    │   └── NotAvailable     … or a tier for what its pipeline's family cannot do
    ├── DeviceError          the device that was asked for is not there
    ├── CompilerMissing      a compiled tier was asked for and there is no C++ compiler
    ├── MeasurementError     samples that cannot be judged (none, negative, not finite)
    ├── BaselineError        a stored baseline cannot be used
    ├── CalibrationError     thresholds of the quality gate cannot be used
    ├── MetricUnavailable    an optional metric has no package or no weights
    ├── ReferenceImageError  a stored reference image cannot be used
    ├── OutputError          a result cannot be written
    ├── HistoryError         the history's database cannot be read or written
    ├── HookMoved            a private name of a library that a patch replaces is not there
    └── GateError            the upgrade gate could not run
        ├── EnvironmentBroken … because an environment cannot be built or used
        ├── WorkerFailed      … because a worker died, hung or answered garbage
        └── ArmFailed         one arm raised an error of its own while it was asked to work

Every message is one line: what is wrong, and the command or option that mends it.
"""

from __future__ import annotations

import re

LONGEST_PROBLEM = 1000
"""Characters of a message; what people write into files and options may be a megabyte."""


class PerfsuiteError(Exception):
    """Root of all errors that perfsuite raises on purpose; the message is for people.

    Args:
        problem: what is wrong, naming the offending thing.
        hint: the command or option that mends it.
    """

    def __init__(self, problem: str, *, hint: str) -> None:
        problem = re.sub(r"[\x00-\x1f\x7f\u0085\u2028\u2029]+", " ", problem)
        if len(problem) > LONGEST_PROBLEM:
            problem = f"{problem[:LONGEST_PROBLEM]} …"
        super().__init__(f"{problem}: {hint}" if hint else problem)
        self.problem = problem
        self.hint = hint


def head_of(error: BaseException) -> str:
    """Type and first line of any error, for records and tables.

    The first line of a compiler's failure says only that it is one; what it said is put beside it.
    """
    lines = str(error).strip().splitlines() or [""]
    said = f" ({compilers_word(str(error))})" if "compile error" in lines[0].lower() else ""
    return f"{type(error).__name__}: {lines[0]}{said}"


def compilers_word(output: str) -> str:
    """The first error in a compiler's output, without the place; the last line if it names none."""
    lines = [line.strip() for line in output.strip().splitlines()]
    for line in lines:
        found = re.search(r"(?:fatal )?error: .+", line)
        if found:
            return found.group()
    return lines[-1] if lines else "it says nothing"


class SettingsError(PerfsuiteError):
    """An option or a key of ``[tool.perfsuite]`` has a value that cannot be used."""


class CheckpointError(PerfsuiteError):
    """A checkpoint is unknown, incomplete or cannot be loaded."""


class HubUnreachable(CheckpointError):
    """The hub did not answer and the checkpoint is not in the local cache."""


class LadderError(PerfsuiteError):
    """A tier is unknown, registered twice, or has no path to the reference tier."""


class NotAvailable(LadderError):
    """A pipeline's family cannot do what a change asks for; building goes on without the change.

    Args:
        family: its name.
        what: it cannot do.
    """

    def __init__(self, family: str, what: str) -> None:
        super().__init__(f"{family} pipelines have no {what}", hint="this tier goes without")


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


class HistoryError(PerfsuiteError):
    """The history's database cannot be opened, read or written, or holds no such run."""


class HookMoved(PerfsuiteError):
    """A private name that a patch replaces is not where it was: this version is not supported.

    Args:
        name: of the hook, as a dotted path.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not there", hint="this version needs a new perfsuite")
        self.name = name


class GateError(PerfsuiteError):
    """The upgrade gate could not run; nothing is said of the code under test."""


class EnvironmentBroken(GateError):
    """An environment does not install, or perfsuite cannot work in it."""


class WorkerFailed(GateError):
    """A worker died, did not answer in time, or answered something that is no answer."""


class ArmFailed(GateError):
    """What runs in a worker raised an error; on the treatment's side alone it is a regression.

    Args:
        problem: type and first line of the error.
        hint: where to read more.
        treatment: whether it was raised on the treatment's side.
    """

    def __init__(self, problem: str, *, hint: str, treatment: bool) -> None:
        super().__init__(problem, hint=hint)
        self.treatment = treatment
