"""An accelerator behind `torch.accelerator`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from perfsuite.device.protocol import Result
from perfsuite.results.samples import PeakMemory


class AcceleratorDevice:
    """An accelerator behind `torch.accelerator`: device events and the device's own allocator."""

    is_accelerator = True

    def __init__(self, name: str) -> None:
        self.name = name

    def timed(self, work: Callable[[], Result]) -> tuple[float, Result]:
        """Seconds between two device events, with one synchronisation at the end."""
        start = torch.Event(self.name, enable_timing=True)
        end = torch.Event(self.name, enable_timing=True)
        self.synchronize()
        start.record()
        result = work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000.0, result

    def record_graph(self, work: Callable[[], object]) -> Callable[[], object] | None:
        """A CUDA graph, or what the device has in its place."""
        try:
            graph = torch.accelerator.Graph()
        except (RuntimeError, NotImplementedError):  # a device without graphs
            return None
        for _ in range(2):  # libraries set themselves up in the first calls: no part of a graph
            work()
        self.synchronize()
        with torch.Stream(self.name), graph:
            work()
        return graph.replay

    def synchronize(self) -> None:
        """Wait for every stream of the device."""
        torch.accelerator.synchronize()

    def free_memory(self) -> int | None:
        """As the device's driver tells it."""
        try:
            return int(torch.accelerator.get_memory_info()[0])
        except (RuntimeError, NotImplementedError):  # a device that does not tell
            return None

    def reset_peak_memory(self) -> None:
        """Reset the allocator's peak."""
        torch.accelerator.reset_peak_memory_stats()

    def held_memory(self) -> int | None:
        """Memory that the allocator has reserved, pools of graphs included.

        A graph's activations count as reserved only: to the allocator they are free.
        """
        return int(torch.accelerator.memory_reserved())

    def peak_memory(self, held_bytes: int | None = None) -> PeakMemory:
        """Peak of the memory that the allocator had reserved, above what was held."""
        held = held_bytes or 0
        peak = int(torch.accelerator.max_memory_reserved())
        return PeakMemory(max(0, peak - held), "device allocator, reserved", held_bytes=held)

    def release_memory(self) -> None:
        """Empty the allocator's cache."""
        torch.accelerator.empty_cache()
