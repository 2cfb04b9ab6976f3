"""What is known of a tier beside its samples, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
    """

    seconds: float
    source: str
    hardware: str
    work: str
    peak_bytes: int | None = None


@dataclass(frozen=True)
class Method:
    """What a tier resolves to; two runs of it are comparable only if their methods are equal.

    Attributes:
        checkpoint: names the weights.
        identity: tells these weights from others.
        configuration: of each component, its class and a digest of its configuration; None where
            the checkpoint does not tell.
        changes: names of what the tier changes, in the order in which it is done.
        workload: digest of the latency workload.
        scheduler: class that replaces the checkpoint's own; None for that one.
        adapter: identity of the adapter; None without one.
    """

    checkpoint: str
    identity: str
    configuration: dict[str, str] | None
    changes: tuple[str, ...]
    workload: str
    scheduler: str | None = None
    adapter: str | None = None

    def difference(self, other: Method) -> str | None:
        """The first thing that differs, as '<thing> <own>, this is <other's>'; None if nothing."""
        facts = (
            ("checkpoint", self.checkpoint, other.checkpoint),
            ("weights", self.identity, other.identity),
            ("scheduler", self.scheduler or "its own", other.scheduler or "its own"),
            *differing_components(self.configuration, other.configuration),
            ("adapter", self.adapter or "none", other.adapter or "none"),
            ("changes", _listed(self.changes), _listed(other.changes)),
            ("workload", self.workload, other.workload),
        )
        return next((f"{what} {a}, this is {b}" for what, a, b in facts if a != b), None)


def differing_components(
    own: Mapping[str, str] | None, other: Mapping[str, str] | None
) -> list[tuple[str, str, str]]:
    """What it is, own value, other's value of every component whose configurations differ.

    The scheduler is first. Where one side is not known, nothing is said to differ.
    """
    if own is None or other is None:
        return []
    names = sorted({*own, *other}, key=lambda name: (name != "scheduler", name))
    kinds = ((f"configuration of {name}" if name != "scheduler" else name) for name in names)
    return [
        (kind, own.get(name, "none"), other.get(name, "none"))
        for kind, name in zip(kinds, names, strict=True)
        if own.get(name) != other.get(name)
    ]


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
    """

    name: str
    parent: str | None
    why: str
    published: Published | None
    changes: tuple[ChangeSummary, ...]
