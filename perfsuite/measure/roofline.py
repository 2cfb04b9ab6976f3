"""The machine's limits, taken in the same session: a large matrix product and a large copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from perfsuite.device import Device
from perfsuite.results.roofline import MachineLimits

_ROUNDS = 5
_LONG_ENOUGH_S = 0.02
"""A product or copy this long is large: starting it costs nothing beside it."""
_SIDES = (256, 512, 1024, 2048, 4096, 8192)
_SIZES_BYTES = tuple((1 << 20) * 4**power for power in range(6))
_MEASURED: dict[tuple[str, torch.dtype], MachineLimits] = {}


def machine_limits(device: Device, dtype: torch.dtype) -> MachineLimits:
    """Speeds of a device; each is taken once per process, as the best of a few rounds.

    Products and copies grow until one takes long enough, so that a slow device is not held up.

    Args:
        device: the device.
        dtype: that the product is computed in.
    """
    known = _MEASURED.get((device.name, dtype))
    if known is not None:
        return known
    side, product_s = _grown(device, _SIDES, lambda side: _product(side, dtype, device.name))
    size, copy_s = _grown(device, _SIZES_BYTES, lambda size: _copy(size, device.name))
    name = str(dtype).removeprefix("torch.")
    limits = MachineLimits(name, 2 * side**3 / product_s, 2 * size / copy_s)
    return _MEASURED.setdefault((device.name, dtype), limits)


def _product(side: int, dtype: torch.dtype, device: str) -> Callable[[], object]:
    a = torch.ones(side, side, dtype=dtype, device=device)
    out = torch.empty_like(a)
    return lambda: torch.mm(a, a, out=out)


def _copy(size: int, device: str) -> Callable[[], object]:
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _grown(
    device: Device, sizes: Sequence[int], make: Callable[[int], Callable[[], object]]
) -> tuple[int, float]:
    """The first size whose work takes long enough, or the last, and its best seconds."""
    for size in sizes:
        work = make(size)
        work()
        if device.timed(work)[0] >= _LONG_ENOUGH_S:
            break
    return size, min(device.timed(work)[0] for _ in range(_ROUNDS))
