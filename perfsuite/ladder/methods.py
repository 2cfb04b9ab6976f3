"""Rows of methods that change the pictures on purpose: few steps, a smaller UNet, reused features.

Each stands on fp32, so that its speed-up is the method's alone, and is measured on demand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from perfsuite.checkpoints import LCM, SSD, Counterpart
from perfsuite.ladder.caching import deepcache
from perfsuite.ladder.changes import tensor_float32
from perfsuite.ladder.table import TUTORIAL, TUTORIAL_WORK, Tier
from perfsuite.results.method import Published

_LCM_SOURCE = "Hugging Face, 'SDXL in 4 steps with Latent Consistency LoRAs'"
_LCM_WORK = "SDXL base 1.0 with LCM-LoRA, 4 steps against 25, batch 1, 1024x1024"
_SSD_SOURCE = "Hugging Face, sayakpaul/sample-datasets, SSD-1B on the tutorial's ladder"
_DEEPCACHE_SOURCE = "DeepCache, README of the package"
_GB = 10**9


def _lcm(hardware: str, seconds: float, against_s: float) -> Published:
    return Published(seconds, _LCM_SOURCE, hardware, _LCM_WORK, against_s=against_s)


def _ssd(seconds: float, gigabytes: float) -> Published:
    work = "SSD-1B, 30 steps, batch 1, 1024x1024"
    return Published(seconds, _SSD_SOURCE, "A100 80 GB", work, round(gigabytes * _GB))


FEW_STEPS = Tier(
    "lcm-lora",
    "fp32",
    (),
    "four steps without guidance: LCMScheduler and an adapter by consistency distillation",
    published=_lcm("A100", 1.2, 3.8),
    also_published=(
        _lcm("RTX 4090", 0.7, 3.4),
        _lcm("RTX 3090", 1.4, 7.0),
        _lcm("T4", 8.4, 26.5),
    ),
    reference="lcm-lora",
    as_good_as="fp32",
    scheduler="LCMScheduler",
    adapter=Counterpart(LCM),
    steps=4,
    guidance_scale=0.0,
    on_demand=True,
)

CACHED = Tier(
    "deepcache",
    "fp32",
    (deepcache(interval=3, branch=0),),
    "the whole UNet at every third step only, its deep features reused in between",
    published=Published(
        6.71,
        _DEEPCACHE_SOURCE,
        "a GPU that is not named",
        "SDXL base 1.0, 50 steps, interval 3, 1024x1024",
        against_s=17.52,
    ),
    also_published=(
        Published(6.07, _DEEPCACHE_SOURCE, "RTX A5000", "SD 2.1, interval 3", against_s=13.83),
        Published(4.43, _DEEPCACHE_SOURCE, "RTX A5000", "SD 2.1, interval 5", against_s=13.83),
    ),
    reference="deepcache",
    as_good_as="fp32",
    on_demand=True,
)

ROUNDED = Tier(
    "tf32",
    "fp32",
    (tensor_float32,),
    "what most people call fp32 on a GPU, and what the tutorial's 7.36 s were measured with",
    published=Published(7.36, TUTORIAL, "A100 80 GB", TUTORIAL_WORK, round(16.83 * _GB)),
    on_demand=True,
)

SSD_PUBLISHED = {
    "fp32": _ssd(4.813, 12.19),
    "bf16": _ssd(3.068, 6.60),
    "sdpa": _ssd(2.245, 6.60),
    "compile": _ssd(1.646, 5.97),
    "fused-qkv": _ssd(1.636, 6.53),
    "int8": _ssd(1.573, 5.62),
}


def on_other_weights(
    ladder: tuple[Tier, ...], method: str, why: str, published: Mapping[str, Published]
) -> tuple[Tier, ...]:
    """The ladder again, on what each checkpoint has for a method: `METHOD`, `METHOD-bf16`, ….

    Its lowest rung is to be as good as the ladder's, and makes the references of the others.

    Args:
        ladder: rungs, the lowest first.
        method: names the new rungs, and the checkpoint's counterpart.
        why: what the lowest rung does.
        published: figures of the new rungs, by the old ones' names.
    """
    lowest, *others = ladder
    names = {lowest.name: method} | {each.name: f"{method}-{each.name}" for each in others}
    foot = replace(
        lowest,
        name=method,
        parent=None,
        why=why,
        published=published.get(lowest.name),
        reference=method,
        as_good_as=lowest.name,
        checkpoint=Counterpart(method),
        on_demand=True,
    )
    return foot, *(
        replace(
            each,
            name=names[each.name],
            parent=names[each.parent or lowest.name],
            published=published.get(each.name),
            on_demand=True,
        )
        for each in others
    )


def method_tiers(ladder: tuple[Tier, ...]) -> tuple[Tier, ...]:
    """All rows of methods, for the ladder that they stand on."""
    smaller = "a UNet of half the size, distilled from the checkpoint's own, in fp32"
    return (ROUNDED, FEW_STEPS, CACHED, *on_other_weights(ladder, SSD, smaller, SSD_PUBLISHED))
