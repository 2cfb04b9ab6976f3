"""What a stretch of work asked of torch, counted: values without noise, and how two of them differ.

Everything is kept by the path of the module that was at work (`unet.up_blocks.0.attentions.1`), so
that a difference has a name.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

OUTSIDE = "pipeline"
"""Path of what no module did: the pipeline's own code."""
SDPA = "scaled_dot_product"
"""Part of the name of every operator that computes attention as one."""

Calls = Mapping[str, Mapping[str, int]]
"""By module path, by name: how often."""


@dataclass(frozen=True)
class CountDifference:
    """One count that is not what it was.

    Attributes:
        module: path of the module that was at work.
        name: of what is counted: an operator, a kernel, a dtype.
        before: how often it was there.
        now: how often it is there.
    """

    module: str
    name: str
    before: int
    now: int

    @property
    def change(self) -> int:
        """How many more; negative for fewer."""
        return self.now - self.before


@dataclass(frozen=True)
class OperatorCounts:
    """Operators that one stretch of work called, before anything is compiled.

    Attributes:
        calls: by module path, by operator ('aten.mm'): calls. Views are counted, torch's own
            bookkeeping (`prim`) is not.
        flops: by module path: floating-point operations of products, convolutions and attention,
            two for a multiplication with its addition, as `torch.utils.flop_counter` counts them.
        syncs: by module path, by call ('Tensor.item'): reads by the host of numbers that the device
            computes, for each of which it would have to wait.
        draws: by module path, by operator: calls of random number generators.
        products: by module path, by dtype of the result: calls that have FLOPs.
        implementations: by module path, by implementation ('onednn jit:avx2', 'Slow2d'): what a CPU
            computes convolutions and products with, where that can be told.
    """

    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    flops: dict[str, int] = field(default_factory=dict)
    syncs: dict[str, dict[str, int]] = field(default_factory=dict)
    draws: dict[str, dict[str, int]] = field(default_factory=dict)
    products: dict[str, dict[str, int]] = field(default_factory=dict)
    implementations: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def operators(self) -> int:
        """Calls of all operators."""
        return total(self.calls)

    @property
    def sdpa(self) -> int:
        """Calls that compute attention as one."""
        return sum(n for name, n in self.histogram.items() if SDPA in name)

    @property
    def total_flops(self) -> int:
        """Floating-point operations of all modules."""
        return sum(self.flops.values())

    @property
    def host_syncs(self) -> int:
        """Reads by the host."""
        return total(self.syncs)

    @property
    def histogram(self) -> Counter[str]:
        """Calls by operator, over all modules."""
        return by_name(self.calls)

    def of(self, part: str) -> OperatorCounts:
        """What one module and those inside it called.

        Args:
            part: the module's path.
        """
        return OperatorCounts(
            within(self.calls, part),
            {path: n for path, n in self.flops.items() if is_within(path, part)},
            within(self.syncs, part),
            within(self.draws, part),
            within(self.products, part),
            within(self.implementations, part),
        )

    def up_to(self, depth: int) -> OperatorCounts:
        """The same with what deeper modules did under those at that depth.

        Args:
            depth: names of a path; `unet.up_blocks.0.attentions` has four.
        """
        flops: Counter[str] = Counter()
        for path, n in self.flops.items():
            flops[shortened(path, depth)] += n
        return OperatorCounts(
            up_to(self.calls, depth),
            dict(flops),
            up_to(self.syncs, depth),
            up_to(self.draws, depth),
            up_to(self.products, depth),
            up_to(self.implementations, depth),
        )

    def differences(self, before: OperatorCounts) -> tuple[CountDifference, ...]:
        """Operators that are called more or less often than before, by module, worst first."""
        return differences(before.calls, self.calls)


def total(calls: Calls) -> int:
    """Calls in all."""
    return sum(sum(names.values()) for names in calls.values())


def by_name(calls: Calls) -> Counter[str]:
    """Calls by name, over all modules."""
    counted: Counter[str] = Counter()
    for names in calls.values():
        counted.update(names)
    return counted


def is_within(path: str, part: str) -> bool:
    """Whether a module is another one, or inside it."""
    return path == part or path.startswith(f"{part}.")


def within(calls: Calls, part: str) -> dict[str, dict[str, int]]:
    """Those calls that a module, or one inside it, made."""
    return {path: dict(names) for path, names in calls.items() if is_within(path, part)}


def common_path(paths: Iterable[str]) -> str:
    """Path of the innermost module that all of them are in; empty if there is none."""
    levels = zip(*(path.split(".") for path in paths), strict=False)
    common = itertools.takewhile(lambda names: len(set(names)) == 1, levels)
    return ".".join(names[0] for names in common)


def shortened(path: str, depth: int) -> str:
    """The first names of a path."""
    return ".".join(path.split(".")[:depth])


def up_to(calls: Calls, depth: int) -> dict[str, dict[str, int]]:
    """The same calls under paths of at most so many names."""
    return merged_calls({shortened(path, depth): names} for path, names in calls.items())


def merged(stretches: Iterable[OperatorCounts]) -> OperatorCounts:
    """The counts of several stretches of work together."""
    every = tuple(stretches)
    flops: Counter[str] = Counter()
    for each in every:
        flops.update(each.flops)
    return OperatorCounts(
        merged_calls(each.calls for each in every),
        dict(flops),
        merged_calls(each.syncs for each in every),
        merged_calls(each.draws for each in every),
        merged_calls(each.products for each in every),
        merged_calls(each.implementations for each in every),
    )


def differences(before: Calls, now: Calls) -> tuple[CountDifference, ...]:
    """Counts that differ, the largest difference first, then by path and name."""
    found = [
        CountDifference(path, name, old, new)
        for path in {**before, **now}
        for name in {**before.get(path, {}), **now.get(path, {})}
        if (old := before.get(path, {}).get(name, 0)) != (new := now.get(path, {}).get(name, 0))
    ]
    return tuple(sorted(found, key=lambda each: (-abs(each.change), each.module, each.name)))


def merged_calls(stretches: Iterable[Calls]) -> dict[str, dict[str, int]]:
    """Calls of several stretches together."""
    summed: dict[str, Counter[str]] = {}
    for calls in stretches:
        for path, names in calls.items():
            summed.setdefault(path, Counter()).update(names)
    return {path: dict(names) for path, names in summed.items()}
