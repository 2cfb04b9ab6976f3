"""Why a verdict says what it says: one class for each reason, which carries the data.

The wording stands in `perfsuite.report.messages`, in one place. In JSON a reason is an object whose
`code` is the class's name.
"""

from __future__ import annotations

import msgspec


class _Reason(msgspec.Struct, frozen=True, tag_field="code", tag=True):
    """Base of all reasons."""


class Note(_Reason, frozen=True):
    """Something that was said in words already, such as the first line of a library's error.

    Attributes:
        text: one line.
    """

    text: str


class FasterThanBaseline(_Reason, frozen=True):
    """Faster beyond doubt: the baseline should be moved."""


class AssumedSpread(_Reason, frozen=True):
    """The baseline is one run, so the spread between runs is assumed.

    Attributes:
        spread: standard deviation that is assumed, as a fraction.
    """

    spread: float


class SamplesScatter(_Reason, frozen=True):
    """More samples would settle it.

    Attributes:
        budget_s: seconds of sampling that would.
    """

    budget_s: int


class ShortBaselineRuns(_Reason, frozen=True):
    """The recorded runs hold too few samples to settle it.

    Attributes:
        budget_s: seconds of sampling per recorded run that would.
    """

    budget_s: int


class RunsDiffer(_Reason, frozen=True):
    """Runs, or starts of both arms, differ too much here for the tolerance.

    Attributes:
        tolerance: that was asked for, as a fraction.
        what: differs: runs, or starts.
    """

    tolerance: float
    what: str = "runs"


class TooFewRuns(_Reason, frozen=True):
    """The baseline has too few runs to settle it.

    Attributes:
        runs: that it has.
        needed: that would do.
    """

    runs: int
    needed: int


class MorePairs(_Reason, frozen=True):
    """More pairs of samples would settle a gate.

    Attributes:
        more_s: seconds of sampling that are missing.
        budget_s: seconds of sampling in all.
    """

    more_s: float
    budget_s: int


class RegressedTogether(_Reason, frozen=True):
    """Called a regression in the light of the session's other regressions (Holm)."""


class NoBaseline(_Reason, frozen=True):
    """Nothing was recorded on this hardware.

    Attributes:
        hardware_key: names the hardware.
    """

    hardware_key: str


class TierNotInBaseline(_Reason, frozen=True):
    """The baseline holds other tiers.

    Attributes:
        tier: the tier's name.
    """

    tier: str


class Incomparable(_Reason, frozen=True):
    """Measured under other conditions than the baseline; such numbers are never compared.

    Attributes:
        what: differs, for people.
        here: its value now.
        recorded: its value in the baseline.
    """

    what: str
    here: str
    recorded: str


class BaselineRecorded(_Reason, frozen=True):
    """This run was made the baseline, or a part of it.

    Attributes:
        path: the file.
        added: whether it was added to runs that were there.
    """

    path: str
    added: bool


class FirstBaseline(_Reason, frozen=True):
    """There was no baseline; from now on this run is the machine's own."""


class CompiledWhileSampling(_Reason, frozen=True):
    """Graphs were compiled while samples were taken.

    Attributes:
        graphs: how many.
        arm: whose, in a gate; empty in a session.
    """

    graphs: int
    arm: str = ""


class Throttled(_Reason, frozen=True):
    """The device ran slower than it can.

    Attributes:
        causes: that its driver named.
    """

    causes: tuple[str, ...]


class DeviceShared(_Reason, frozen=True):
    """Other processes computed on the device.

    Attributes:
        processes: how many.
    """

    processes: int


class Swapping(_Reason, frozen=True):
    """The machine moved memory to or from its swap."""


class Stolen(_Reason, frozen=True):
    """The hypervisor gave time of this machine to others.

    Attributes:
        share: of the machine's time.
    """

    share: float


class BusyElsewhere(_Reason, frozen=True):
    """Other processes kept cores busy.

    Attributes:
        busy: cores, on average.
        cores: that this process may use.
    """

    busy: float
    cores: int


class QuotaThrottled(_Reason, frozen=True):
    """The container's CPU quota stopped this process while it was measured.

    Attributes:
        throttled_s: seconds that it was stopped.
        quota: cores that the quota allows; None if it is not known.
    """

    throttled_s: float
    quota: float | None = None


class ImageFaults(_Reason, frozen=True):
    """An image is visibly at fault, or cannot be compared.

    Attributes:
        faults: in words; empty if it just cannot be compared.
        prompt: of the image.
        seed: of its first noise.
    """

    faults: tuple[str, ...]
    prompt: str
    seed: int


class Missed(msgspec.Struct, frozen=True):
    """A threshold that was not reached.

    Attributes:
        metric: name of the threshold, as a field of `Thresholds`.
        value: what was found.
        threshold: what was asked for.
    """

    metric: str
    value: float
    threshold: float


class ThresholdsMissed(_Reason, frozen=True):
    """Images are less like their references than is asked.

    Attributes:
        change: what kind of change that is, for people.
        missed: thresholds that were not reached.
        prompt: of the worst image.
        seed: of its first noise.
    """

    change: str
    missed: tuple[Missed, ...]
    prompt: str
    seed: int


class ReferenceTierChanged(_Reason, frozen=True):
    """The reference tier itself no longer makes its references: every tier shares the cause.

    Attributes:
        found: what is wrong with its images.
        versions: packages that the references were made with, where they differ from today's.
    """

    found: ThresholdsMissed | ImageFaults
    versions: tuple[str, ...] = ()


class RoundingDiffers(_Reason, frozen=True):
    """The reference tier makes its references but for rounding.

    Attributes:
        psnr_db: of the worst image, decibels.
    """

    psnr_db: float


class ReferencesUnchecked(_Reason, frozen=True):
    """The reference tier was not held against its own references in this session."""


class NoPicture(_Reason, frozen=True):
    """The failure picture could not be written.

    Attributes:
        problem: why.
    """

    problem: str


class LayersMissed(_Reason, frozen=True):
    """Quantised layers compute something else than they should.

    Attributes:
        layer: the worst.
        others: how many more.
        relative_error: of the worst.
        most_relative_error: that is allowed.
        gain: of the worst.
        most_gain_error: that is allowed.
    """

    layer: str
    others: int
    relative_error: float
    most_relative_error: float
    gain: float
    most_gain_error: float


class NothingChecked(_Reason, frozen=True):
    """A check found nothing to check.

    Attributes:
        what: should have been there.
    """

    what: str


class MemoryUnknown(_Reason, frozen=True):
    """Peak memory could not be measured."""


class CountChanged(_Reason, frozen=True):
    """A count differs between two arms.

    Attributes:
        what: is counted.
        before: in the control.
        now: in the treatment.
    """

    what: str
    before: int
    now: int


class ControlAtFault(_Reason, frozen=True):
    """The control's own images are not what they should be; the treatment is not blamed.

    Attributes:
        found: what is wrong with them.
    """

    found: ThresholdsMissed | ImageFaults | NothingChecked


class AgainstControl(_Reason, frozen=True):
    """The treatment's images differ from the control's.

    Attributes:
        found: how.
    """

    found: ThresholdsMissed | ImageFaults | NothingChecked


class BlockUnfinished(_Reason, frozen=True):
    """An error or Ctrl-C ended a block before its time."""


class TooFewStarts(_Reason, frozen=True):
    """Fewer than two starts of both arms: how much starts differ is not known."""


class NoStartMeasured(_Reason, frozen=True):
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
    | TierNotInBaseline
    | Incomparable
    | BaselineRecorded
    | FirstBaseline
    | CompiledWhileSampling
    | Throttled
    | DeviceShared
    | Swapping
    | Stolen
    | BusyElsewhere
    | QuotaThrottled
    | ImageFaults
    | ThresholdsMissed
    | ReferenceTierChanged
    | RoundingDiffers
    | ReferencesUnchecked
    | NoPicture
    | LayersMissed
    | NothingChecked
    | MemoryUnknown
    | CountChanged
    | ControlAtFault
    | AgainstControl
    | BlockUnfinished
    | TooFewStarts
    | NoStartMeasured
)
"""Any of them; `match` on its class."""
