"""What is known of a tier beside its samples, as plain values."""

from __future__ import annotations

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
        published_s: seconds per image where it was published; None if it was not.
        changes: what it adds to its parent, in the order in which it is done.
    """

    name: str
    parent: str | None
    why: str
    published_s: float | None
    changes: tuple[ChangeSummary, ...]


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

    def differences(self, before: Configuration) -> tuple[str, ...]:
        """What is not as it was, one line each.

        Args:
            before: what this configuration is held against.
        """
        found = []
        if self.scheduler != before.scheduler:
            found.append(f"scheduler is {self.scheduler}, was {before.scheduler}")
        changed = {each.name for each in {*self.components} ^ {*before.components}}
        found += [f"config of {name} differs" for name in sorted(changed)]
        if self.tokenizers != before.tokenizers:
            found.append("tokenizers differ")
        return tuple(found)
