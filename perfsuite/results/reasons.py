"""Why a verdict says what it says: one class for each reason, which carries the data.

The wording stands in `perfsuite.report.messages`, in one place. In JSON a reason is an object whose
`code` is the class's name.
"""

from __future__ import annotations

from perfsuite.results.again_reasons import Bimodal, NotMadeAgain, SameAgain, Unstable
from perfsuite.results.condition_reasons import (
    BusyElsewhere,
    CompiledWhileSampling,
    DeviceShared,
    QuotaThrottled,
    RecordedWhileSampling,
    SamplesDropped,
    Stolen,
    Swapping,
    Throttled,
)
from perfsuite.results.method_reasons import (
    ContentUnscored,
    FloorsMissed,
    FloorsOpen,
    NotReproduced,
    OwnPicturesRecorded,
    TooFewPairs,
)
from perfsuite.results.picture_reasons import (
    AgainstControl,
    CodedReason,
    ControlAtFault,
    FirstReferences,
    ImageFaults,
    LayersMissed,
    NoPicture,
    NoPictures,
    NotCalibrated,
    NothingChecked,
    ReferencesUnchecked,
    ReferenceTierChanged,
    RoundingDiffers,
    ThresholdsMissed,
)
from perfsuite.results.structure_reasons import StructureReason
from perfsuite.results.support_reasons import (
    NeedsHardware,
    NeedsLibrary,
    NeedsMemory,
    NeedsPackage,
    NoCounterpart,
)


class Note(CodedReason, frozen=True):
    """Something that was said in words already, such as the first line of a library's error.

    Attributes:
        text: one line.
    """

    text: str


class FasterThanBaseline(CodedReason, frozen=True):
    """Faster beyond doubt: the baseline should be moved."""


class AssumedSpread(CodedReason, frozen=True):
    """The baseline is one run, so the spread between runs is assumed.

    Attributes:
        spread: standard deviation that is assumed, as a fraction.
    """

    spread: float


class SamplesScatter(CodedReason, frozen=True):
    """More samples would settle it.

    Attributes:
        budget_s: seconds of sampling that would.
    """

    budget_s: int


class ShortBaselineRuns(CodedReason, frozen=True):
    """The recorded runs hold too few samples to settle it.

    Attributes:
        budget_s: seconds of sampling per recorded run that would.
    """

    budget_s: int


class RunsDiffer(CodedReason, frozen=True):
    """Runs, or starts of both arms, differ too much here for the tolerance.

    Attributes:
        tolerance: that was asked for, as a fraction.
        what: differs: runs, or starts.
    """

    tolerance: float
    what: str = "runs"


class TooFewRuns(CodedReason, frozen=True):
    """The baseline has too few runs to settle it.

    Attributes:
        runs: that it has.
        needed: that would do.
    """

    runs: int
    needed: int


class MorePairs(CodedReason, frozen=True):
    """More pairs of samples would settle a gate.

    Attributes:
        more_s: seconds of sampling that are missing.
        budget_s: seconds of sampling in all.
    """

    more_s: float
    budget_s: int


class RegressedTogether(CodedReason, frozen=True):
    """Called a regression in the light of the session's other regressions (Holm)."""


class NoBaseline(CodedReason, frozen=True):
    """Nothing was recorded on this hardware.

    Attributes:
        hardware_key: names the hardware.
    """

    hardware_key: str


class BaselineLost(CodedReason, frozen=True):
    """A baseline was recorded here once, and there is none now.

    Attributes:
        hardware_key: names the hardware.
        recorded_key: names the hardware that it was recorded on.
        run_id: of the run that was recorded.
    """

    hardware_key: str
    recorded_key: str
    run_id: str


class TierNotInBaseline(CodedReason, frozen=True):
    """The baseline holds other tiers.

    Attributes:
        tier: the tier's name.
    """

    tier: str


class Incomparable(CodedReason, frozen=True):
    """Measured under other conditions than the baseline; such numbers are never compared.

    Attributes:
        what: differs, for people.
        here: its value now.
        recorded: its value in the baseline.
    """

    what: str
    here: str
    recorded: str


class BaselineRecorded(CodedReason, frozen=True):
    """This run was made the baseline, or a part of it.

    Attributes:
        path: the file, from the name of the folder of baselines on.
        added: whether it was added to runs that were there.
    """

    path: str
    added: bool


class FirstBaseline(CodedReason, frozen=True):
    """There was no baseline; from now on this run is the machine's own."""


class OutOfTime(CodedReason, frozen=True):
    """There was no time left for it.

    Attributes:
        limit_s: seconds that the session was given.
        elapsed_s: seconds that it had taken by then.
        needed_s: seconds that this would have taken, as predicted.
    """

    limit_s: float
    elapsed_s: float
    needed_s: float


class MemoryUnknown(CodedReason, frozen=True):
    """Peak memory could not be measured."""


class CountChanged(CodedReason, frozen=True):
    """A count differs between two arms.

    Attributes:
        what: is counted.
        before: in the control.
        now: in the treatment.
    """

    what: str
    before: int
    now: int


class BlockUnfinished(CodedReason, frozen=True):
    """An error or Ctrl-C ended a block before its time."""


class TooFewStarts(CodedReason, frozen=True):
    """Fewer than two starts of both arms: how much starts differ is not known."""


class NoStartMeasured(CodedReason, frozen=True):
    """No start of both arms gave a value to judge.

    Attributes:
        what: was to be judged.
    """

    what: str


Reason = (
    Note
    | FasterThanBaseline
    | AssumedSpread
    | SamplesScatter
    | ShortBaselineRuns
    | RunsDiffer
    | TooFewRuns
    | MorePairs
    | RegressedTogether
    | NoBaseline
    | BaselineLost
    | TierNotInBaseline
    | Incomparable
    | BaselineRecorded
    | FirstBaseline
    | OutOfTime
    | CompiledWhileSampling
    | Throttled
    | SamplesDropped
    | RecordedWhileSampling
    | DeviceShared
    | Swapping
    | Stolen
    | BusyElsewhere
    | QuotaThrottled
    | ImageFaults
    | ThresholdsMissed
    | ReferenceTierChanged
    | RoundingDiffers
    | FirstReferences
    | ReferencesUnchecked
    | NoPicture
    | LayersMissed
    | NothingChecked
    | NotCalibrated
    | NoPictures
    | MemoryUnknown
    | CountChanged
    | ControlAtFault
    | AgainstControl
    | BlockUnfinished
    | TooFewStarts
    | NoStartMeasured
    | Bimodal
    | NotMadeAgain
    | SameAgain
    | Unstable
    | ContentUnscored
    | FloorsMissed
    | FloorsOpen
    | NotReproduced
    | OwnPicturesRecorded
    | TooFewPairs
    | NeedsPackage
    | NeedsHardware
    | NeedsLibrary
    | NeedsMemory
    | NoCounterpart
    | StructureReason
)
"""Any of them; `match` on its class."""
