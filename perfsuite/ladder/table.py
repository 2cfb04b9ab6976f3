"""The table of tiers. A row states only what it adds to its parent; the rest follows from that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from perfsuite.checkpoints import Counterpart
from perfsuite.checkpoints.adapter import Adapter
from perfsuite.errors import LadderError
from perfsuite.ladder import changes
from perfsuite.ladder.builder import Change, Phase
from perfsuite.results.method import ChangeSummary, Published, TierSummary
from perfsuite.workload import Workload


@dataclass(frozen=True)
class Tier:
    """One rung of the ladder.

    A row states what it adds to its parent. Of what makes it a method of its own (checkpoint,
    scheduler, adapter, steps, guidance) and of its reference, what a row leaves out is its parent's
    once it is registered.

    Attributes:
        name: its name in options, tables and baselines.
        parent: the rung below, whose changes it has too; None at the reference tier.
        changes: what it adds.
        why: one line for people: what it does and why.
        published: what others have published of it; None if nothing.
        min_ssim: the lowest SSIM to the fp32 reference that an image of this tier may have, where
            nothing was calibrated; None for no such number: a tier that changes precision is then
            `not calibrated`, one that does not is held at `EXACT_MIN_SSIM`.
        compiles: whether building it needs a compiler.
        reference: the tier whose exact build in fp32 its images are held against, for methods that
            change the trajectory on purpose (few steps, caching, a smaller UNet); None for the
            checkpoint's references, which the reference tier made.
        checkpoint: weights of its own, a registered name or what the session's checkpoint names as
            its counterpart; None for the session's checkpoint.
        scheduler: class of diffusers that replaces the checkpoint's own.
        adapter: LoRA weights that are fused into the checkpoint's, or the counterpart of the
            session's checkpoint.
        steps: denoising steps, instead of the workload's.
        guidance_scale: classifier-free guidance, instead of the workload's.
        as_good_as: the tier whose pictures its own have to be as good as, for a method whose
            pictures are others on purpose; its own rungs do not inherit it.
        also_published: what was published on other hardware.
        on_demand: whether it is measured only where `--perf-tiers` names it, or says `all`.
    """

    name: str
    parent: str | None
    changes: tuple[Change, ...]
    why: str
    published: Published | None = None
    min_ssim: float | None = None
    compiles: bool = False
    reference: str | None = None
    checkpoint: str | Counterpart | None = None
    scheduler: str | None = None
    adapter: Adapter | Counterpart | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    as_good_as: str | None = None
    also_published: tuple[Published, ...] = ()
    on_demand: bool = False

    def workload(self, asked: Workload) -> Workload:
        """A workload with the steps and the guidance that are part of this tier's method."""
        steps = asked.steps if self.steps is None else self.steps
        guidance = asked.guidance_scale if self.guidance_scale is None else self.guidance_scale
        return replace(asked, steps=steps, guidance_scale=guidance)


ALL_TIERS = "all"
"""Stands for every registered tier where tiers are named."""
_METHOD_FIELDS = ("checkpoint", "scheduler", "adapter", "steps", "guidance_scale")


TUTORIAL = "Hugging Face, 'Accelerate inference of text-to-image diffusion models'"
TUTORIAL_WORK = "SDXL base 1.0, 30 steps, batch 1, 1024x1024"


def _published(seconds: float, gigabytes: float, work: str = TUTORIAL_WORK) -> Published:
    return Published(seconds, TUTORIAL, "A100 80 GB", work, round(gigabytes * 10**9))


LADDER = (
    Tier(
        "fp32",
        None,
        (changes.full_float32, changes.plain_attention),
        "no optimisation: float32 without TF32, attention as separate matrix products",
        published=_published(7.36, 16.83, f"{TUTORIAL_WORK}, with TF32"),
    ),
    Tier(
        "bf16",
        "fp32",
        (changes.bfloat16,),
        "weights and activations in bfloat16: half the memory traffic, matrix units",
        published=_published(4.63, 8.96),
    ),
    Tier(
        "sdpa",
        "bf16",
        (changes.fused_attention,),
        "scaled_dot_product_attention: one kernel that never stores the attention matrix",
        published=_published(3.31, 8.96),
    ),
    Tier(
        "compile",
        "sdpa",
        (changes.channels_last, changes.inductor_flags, changes.compile_denoiser_and_decoder),
        "torch.compile of UNet and VAE decoder: fewer, fused kernels, no Python between them",
        published=_published(2.54, 8.82),
        compiles=True,
    ),
    Tier(
        "fused-qkv",
        "compile",
        (changes.fuse_qkv,),
        "one matrix product for query, key and value instead of three",
        published=_published(2.52, 9.78),
        compiles=True,
    ),
    Tier(
        "int8",
        "fused-qkv",
        (changes.pointwise_convs_to_linear, changes.dynamic_int8, changes.inductor_int8_flags),
        "dynamic int8 activations times int8 weights in the layers that gain from it",
        published=_published(2.43, 7.87),
        compiles=True,
    ),
)

_TIERS: dict[str, Tier] = {tier.name: tier for tier in LADDER}


def tiers() -> tuple[Tier, ...]:
    """All registered tiers, every parent before its children."""
    return tuple(_TIERS.values())


def register_tier(tier: Tier) -> None:
    """Add a tier, usually from a `conftest.py`.

    Raises:
        LadderError: the name is taken, or the parent is not registered.
    """
    if tier.name in _TIERS:
        raise LadderError(f"tier '{tier.name}' is registered already", hint="choose another name")
    if tier.parent is not None and tier.parent not in _TIERS:
        raise LadderError(
            f"tier '{tier.name}' stands on '{tier.parent}', which is not registered",
            hint=f"register it first, or stand on one of {', '.join(_TIERS)}",
        )
    if tier.reference is not None and tier.reference not in (*_TIERS, tier.name):
        raise LadderError(
            f"tier '{tier.name}' names the reference '{tier.reference}', which is not registered",
            hint=f"register it first, or name '{tier.name}' itself",
        )
    if tier.as_good_as is not None and tier.as_good_as not in _TIERS:
        raise LadderError(
            f"tier '{tier.name}' is to be as good as '{tier.as_good_as}', which is not registered",
            hint=f"register it first, or name one of {', '.join(_TIERS)}",
        )
    row = _with_parents_method(tier)
    if row.reference is None and any(getattr(row, each) is not None for each in _METHOD_FIELDS):
        raise LadderError(
            f"tier '{tier.name}' is a method of its own and names no reference",
            hint=f"its images are not the checkpoint's: reference='{tier.name}', or another tier",
        )
    _TIERS[tier.name] = row


def _with_parents_method(tier: Tier) -> Tier:
    parent = _TIERS.get(tier.parent or "")
    left_out = [name for name in (*_METHOD_FIELDS, "reference") if getattr(tier, name) is None]
    return replace(tier, **{name: getattr(parent, name) for name in left_out}) if parent else tier


def expand(names: Iterable[str] | None) -> tuple[str, ...]:
    """The names of the tiers that are meant.

    Args:
        names: as somebody gave them, `all` among them perhaps; None for what is measured where
            nobody names any.
    """
    if names is None:
        return tuple(tier.name for tier in tiers() if not tier.on_demand)
    wanted = tuple(names)
    return tuple(_TIERS) if ALL_TIERS in wanted else wanted


def find_tiers(names: Iterable[str]) -> tuple[Tier, ...]:
    """The tiers of these names, in the ladder's order, each once.

    Raises:
        LadderError: a name is unknown, or there is none.
    """
    wanted = expand(names)
    unknown = [name for name in wanted if name not in _TIERS]
    if unknown:
        raise LadderError(
            f"unknown tier '{unknown[0]}'", hint=f"--perf-tiers takes {','.join(_TIERS)}, or all"
        )
    if not wanted:
        raise LadderError("no tier is named", hint=f"--perf-tiers takes {','.join(_TIERS)}")
    return tuple(tier for tier in tiers() if tier.name in wanted)


def reference_tier() -> Tier:
    """The tier that references are made with."""
    return _TIERS["fp32"]


def lineage(tier: Tier) -> tuple[Tier, ...]:
    """The tier and all that it stands on, from the reference tier up."""
    path = [tier]
    while path[0].parent is not None:
        path.insert(0, _TIERS[path[0].parent])
    return tuple(path)


def is_compiled(tier: Tier) -> bool:
    """Whether a tier, or one that it stands on, is compiled."""
    return any(rung.compiles for rung in lineage(tier))


def ordered_changes(tier: Tier, *, exact_only: bool = False) -> tuple[Change, ...]:
    """All changes of a tier in the order in which they are made: by phase, then by rung.

    Args:
        tier: the tier.
        exact_only: leave out what changes precision.
    """
    every = [each for rung in lineage(tier) for each in rung.changes]
    kept = [each for each in every if each.exact or not exact_only]
    return tuple(sorted(kept, key=lambda each: each.phase))


def has_exactness(tier: Tier) -> bool:
    """Whether a tier adds exact changes that its reference has not: the exactness stage is for it.

    The reference tier is what references are made with, and a tier that is its own reference
    has nothing else to be held against.
    """
    if tier.parent is None or tier.reference == tier.name:
        return False
    return any(each.exact for each in tier.changes)


def changes_precision(tier: Tier) -> bool:
    """Whether anything that a tier does changes more than rounding."""
    return any(not each.exact for each in ordered_changes(tier))


def changes_layers(tier: Tier) -> bool:
    """Whether a tier replaces layers of the loaded modules by ones of other precision."""
    return any(not each.exact and each.phase is Phase.MODULES for each in tier.changes)


def summarise(tier: Tier) -> TierSummary:
    """A tier's row for people, its own changes in the order in which they are made."""
    own = [each for each in ordered_changes(tier) if each in tier.changes]
    return TierSummary(
        tier.name,
        tier.parent,
        tier.why,
        tier.published,
        tuple(ChangeSummary(each.name, each.exact, each.about) for each in own),
        tier.also_published,
        tier.as_good_as,
        tier.on_demand,
    )


def is_reference_tier(tier: Tier) -> bool:
    """Whether a tier is what references are made with."""
    return tier.parent is None and tier.reference is None
