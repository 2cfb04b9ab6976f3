"""What is known of a tier beside its samples, as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from perfsuite.results.reasons import Incomparable


@dataclass(frozen=True)
class Finding:
    """Something that a reader of the result must know, and that is no reason to stop.

    Attributes:
        subject: what it is about, in one word or a library's own name.
        message: one line.
    """

    subject: str
    message: str


@dataclass(frozen=True)
class Published:
    """What others have published of a tier.

    Attributes:
        seconds: per image.
        source: where it stands.
        hardware: what it was measured on.
        work: what was timed.
        peak_bytes: the most memory in use at once; None where it was not published.
        against_s: seconds that the same source gives for the checkpoint without the method; None
            where the tutorial's fp32 stands for it.
    """

    seconds: float
    source: str
    hardware: str
    work: str
    peak_bytes: int | None = None
    against_s: float | None = None


@dataclass(frozen=True)
class ComponentDigest:
    """What tells a component's config from others.

    Attributes:
        name: of the component, as the pipeline calls it.
        digest: of its config.
    """

    name: str
    digest: str


@dataclass(frozen=True)
class Configuration:
    """Everything of a checkpoint, beside its weights, that an image or a latency depends on.

    Attributes:
        scheduler: class of the scheduler.
        components: digest of every component's config; `pipeline` is `model_index.json`.
        tokenizers: digest of the tokenizers' files.
    """

    scheduler: str
    components: tuple[ComponentDigest, ...]
    tokenizers: str


def differences(recorded: Configuration | None, now: Configuration | None) -> list[Incomparable]:
    """What is not as it was; where one of both is not known, nothing is said to differ."""
    if recorded is None or now is None:
        return []
    found = [Incomparable("scheduler", now.scheduler, recorded.scheduler)]
    old = {each.name: each.digest for each in recorded.components}
    new = {each.name: each.digest for each in now.components}
    found += [
        Incomparable(f"configuration of {name}", new.get(name, "none"), old.get(name, "none"))
        for name in sorted({*old, *new})
    ]
    found.append(Incomparable("tokenizers", now.tokenizers, recorded.tokenizers))
    return [each for each in found if each.here != each.recorded]


def first_difference(
    named: Iterable[tuple[str, str, str]],
    recorded: Configuration | None,
    now: Configuration | None,
) -> Incomparable | None:
    """The first thing in which what is stored is not of what is here; None if it is.

    Args:
        named: what, its value now, its value when it was stored.
        recorded: configuration that it was stored for.
        now: configuration of today.
    """
    found = [Incomparable(*each) for each in named] + differences(recorded, now)
    return next((each for each in found if each.here != each.recorded), None)


@dataclass(frozen=True)
class Method:
    """What a tier resolves to; two runs of it are comparable only if their methods are equal.

    Attributes:
        checkpoint: names the weights.
        identity: tells these weights from others.
        configuration: of the checkpoint.
        changes: names of what the tier changes, in the order in which it is done.
        workload: digest of the latency workload.
        scheduler: class that replaces the checkpoint's own; None for that one.
        adapter: identity of the adapter; None without one.
    """

    checkpoint: str
    identity: str
    configuration: Configuration | None
    changes: tuple[str, ...]
    workload: str
    scheduler: str | None = None
    adapter: str | None = None

    def difference(self, now: Method) -> Incomparable | None:
        """The first thing that differs; None if nothing does."""
        facts = (
            Incomparable("checkpoint", now.checkpoint, self.checkpoint),
            Incomparable("weights", now.identity, self.identity),
            Incomparable("scheduler", now.scheduler or "its own", self.scheduler or "its own"),
            *differences(self.configuration, now.configuration),
            Incomparable("adapter", now.adapter or "none", self.adapter or "none"),
            Incomparable("changes", _listed(now.changes), _listed(self.changes)),
            Incomparable("workload", now.workload, self.workload),
        )
        return next((each for each in facts if each.here != each.recorded), None)


def _listed(names: tuple[str, ...]) -> str:
    return ",".join(names) or "none"


@dataclass(frozen=True)
class ChangeSummary:
    """One change that a tier makes.

    Attributes:
        name: of its function.
        exact: whether only rounding may differ after it.
        about: one line for people.
    """

    name: str
    exact: bool
    about: str


@dataclass(frozen=True)
class TierSummary:
    """A row of the ladder, for people.

    Attributes:
        name: of the tier.
        parent: the tier that it stands on; None for the reference tier.
        why: one line: what it does and why.
        published: what others have published of it; None if nothing.
        changes: what it adds to its parent, in the order in which it is done.
        also_published: the same on other hardware.
        as_good_as: the tier whose pictures its own must be as good as; None where it must make the
            same pictures.
        on_demand: whether it is measured only where it is asked for.
    """

    name: str
    parent: str | None
    why: str
    published: Published | None
    changes: tuple[ChangeSummary, ...]
    also_published: tuple[Published, ...] = ()
    as_good_as: str | None = None
    on_demand: bool = False
