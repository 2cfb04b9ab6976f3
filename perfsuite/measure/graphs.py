"""What torch.compile has made in this process: graphs of operators, and recordings on a device."""

from __future__ import annotations

import sys
from typing import Any

import torch

from perfsuite.results.samples import GraphWork

_TREES = "torch._inductor.cudagraph_trees"


def compiled_graphs() -> int:
    """Graphs that torch.compile has made in this process so far."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def recorded_graphs() -> int:
    """Device graphs (CUDA graphs) that inductor holds for device 0, until it is reset.

    They are the nodes of inductor's trees: a replay walks along them, a recording adds one.
    """
    trees = sys.modules.get(_TREES)  # imported by the first compilation that wants device graphs
    manager = trees.get_manager(0, create_if_none_exists=False) if trees is not None else None
    if manager is None or manager.roots is None:
        return 0
    return sum(_nodes(nodes) for nodes in manager.roots.values())


def _nodes(nodes: list[Any]) -> int:
    waiting, found = list(nodes), 0
    while waiting:
        found += 1
        for children in waiting.pop().children.values():
            waiting += children
    return found


class GraphCounter:
    """Tells what each image has added to the graphs of this process."""

    def __init__(self) -> None:
        self._compiled, self._recorded = compiled_graphs(), recorded_graphs()

    def since_last(self) -> GraphWork:
        """What came since this was last asked, or since the counter was made."""
        compiled, recorded = compiled_graphs(), recorded_graphs()
        work = GraphWork(compiled - self._compiled, recorded - self._recorded, recorded)
        self._compiled, self._recorded = compiled, recorded
        return work
