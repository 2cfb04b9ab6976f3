"""What is counted of a tier beside its latency: values without noise, kept in the record."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field

from perfsuite.results.structure import Calls, OperatorCounts


class Counted(str, enum.Enum):
    """Kinds of counts that a tier is held against."""

    OPERATORS = "operators"
    FLOPS = "FLOPs"
    SYNCS = "host synchronisations"
    DRAWS = "random draws"
    PRODUCTS = "dtypes of products"
    IMPLEMENTATIONS = "CPU implementations"
    LAYERS = "layers"
    WEIGHTS = "weight bytes"
    GRAPHS = "graphs"
    KERNELS = "kernels"

    @property
    def is_cost(self) -> bool:
        """Whether less of it is better; of the others any change is one for the worse."""
        return self in _COSTS

    @property
    def is_of_the_machine(self) -> bool:
        """Whether it depends on the CPU's vectors or the accelerator's model."""
        return self in (Counted.IMPLEMENTATIONS, Counted.GRAPHS, Counted.KERNELS)


_COSTS = frozenset(
    {
        Counted.OPERATORS,
        Counted.FLOPS,
        Counted.SYNCS,
        Counted.WEIGHTS,
        Counted.GRAPHS,
        Counted.KERNELS,
    }
)


@dataclass(frozen=True)
class WeightBytes:
    """Bytes of one component in one dtype.

    Attributes:
        component: the pipeline's attribute.
        dtype: that they are stored in.
        size_bytes: parameters and buffers.
    """

    component: str
    dtype: str
    size_bytes: int


@dataclass(frozen=True)
class LayerCensus:
    """Every layer with weights.

    Attributes:
        layers: by path, what it is: 'Conv2d bfloat16 channels_last'.
        quantised: paths of Linear layers whose weights are quantised.
        skipped: by path, why the tier's filter leaves a Linear layer as it is.
        missed: paths of Linear layers that the filter lets through and that are not quantised.
        unwanted: paths of Linear layers that are quantised though the filter leaves them out.
        swapped: paths of 1x1 convolutions that became Linear.
    """

    layers: dict[str, str] = field(default_factory=dict)
    quantised: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    missed: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    swapped: tuple[str, ...] = ()


@dataclass(frozen=True)
class GraphBreak:
    """A place where torch.compile had to give up a graph.

    Attributes:
        reason: first line of torch's own words.
        place: 'file.py:line in function' of the code under test.
    """

    reason: str
    place: str


@dataclass(frozen=True)
class Recompile:
    """A function that was compiled again.

    Attributes:
        function: its name and file.
        guard: that failed, in torch's words.
    """

    function: str
    guard: str


@dataclass(frozen=True)
class CompiledGraph:
    """One graph that inductor made code for.

    Attributes:
        root: component whose code it is of, or file and function.
        fused: by the kernel's name without its number: launches of generated kernels a call.
        extern: by name: calls of library kernels.
        code: digest of the generated code; reported, never judged.
    """

    root: str
    fused: dict[str, int]
    extern: dict[str, int]
    code: str

    @property
    def kernels(self) -> int:
        """Launches a call, of both kinds."""
        return sum(self.fused.values()) + sum(self.extern.values())


@dataclass(frozen=True)
class Compilation:
    """What torch.compile did since a tier was built.

    Attributes:
        graphs: that inductor made code for, in order.
        breaks: graph breaks.
        recompiles: of functions that were compiled before.
        inductor: counters of inductor's passes and fallbacks; those of its caches are left out.
        skipped_cuda_graphs: why inductor did not use CUDA graphs.
    """

    graphs: tuple[CompiledGraph, ...] = ()
    breaks: tuple[GraphBreak, ...] = ()
    recompiles: tuple[Recompile, ...] = ()
    inductor: dict[str, int] = field(default_factory=dict)
    skipped_cuda_graphs: tuple[str, ...] = ()


@dataclass(frozen=True)
class TierCounters:
    """All counts of one tier.

    Attributes:
        steps: denoising steps of the image that was counted.
        image: of that whole image, by module.
        step: of its last step, by component.
        weights: by component and dtype.
        layers: every layer with weights.
        compilation: None of a tier that is not compiled.
        fused_attention: whether the tier's attention is meant to be one operator.
        dtype: that the tier's products are meant to be computed in.
        seconds: that counting took.
    """

    steps: int
    image: OperatorCounts
    step: OperatorCounts
    weights: tuple[WeightBytes, ...]
    layers: LayerCensus
    compilation: Compilation | None = None
    fused_attention: bool = False
    dtype: str = ""
    seconds: float = 0.0

    def weights_of(self, component: str) -> int:
        """Bytes of a component's weights."""
        return sum(each.size_bytes for each in self.weights if each.component == component)

    @property
    def kernels_per_step(self) -> int | None:
        """Kernels that the compiled denoiser launches a call; None of a tier without one."""
        if self.compilation is None or not self.layers.layers:
            return None
        denoiser = next(iter(self.layers.layers)).partition(".")[0]
        return sum(each.kernels for each in self.compilation.graphs if each.root == denoiser)

    def tallies(self) -> dict[Counted, Calls]:
        """All that is held against a baseline, by module or component, by name."""
        image = self.image
        weights: dict[str, dict[str, int]] = {}
        for each in self.weights:
            weights.setdefault(each.component, {})[each.dtype] = each.size_bytes
        graphs = self.compilation.graphs if self.compilation else ()
        return {
            Counted.OPERATORS: image.calls,
            Counted.FLOPS: {path: {"FLOPs": n} for path, n in image.flops.items()},
            Counted.SYNCS: image.syncs,
            Counted.DRAWS: image.draws,
            Counted.PRODUCTS: _present(image.products),
            Counted.IMPLEMENTATIONS: _present(image.implementations),
            Counted.LAYERS: {path: {what: 1} for path, what in self.layers.layers.items()},
            Counted.WEIGHTS: weights,
            Counted.GRAPHS: {root: {"graphs": n} for root, n in _graphs_by_root(graphs).items()},
            Counted.KERNELS: {root: _kernels(graphs, root) for root in _graphs_by_root(graphs)},
        }


def _present(calls: Calls) -> Calls:
    """Which names there are, however often: how often follows from the operators."""
    return {path: dict.fromkeys(names, 1) for path, names in calls.items()}


def _graphs_by_root(graphs: tuple[CompiledGraph, ...]) -> Counter[str]:
    return Counter(each.root for each in graphs)


def _kernels(graphs: tuple[CompiledGraph, ...], root: str) -> dict[str, int]:
    """Kernels that one call of each of a component's graphs launches."""
    launched: Counter[str] = Counter()
    for each in graphs:
        if each.root == root:
            launched.update(each.fused)
            launched.update(each.extern)
    return dict(launched)
