"""How much of a denoising step's time the CPU needs to launch it."""

from __future__ import annotations

import time
from collections.abc import Callable

from perfsuite.device import Device
from perfsuite.pipelines import StepHook


def host_share(device: Device, make_image: Callable[[StepHook], object]) -> float | None:
    """Of the time of a denoising step on an accelerator, the part in which it is being launched.

    One image is made, and the device is waited for after each step. The CPU comes to the end of a
    step when all of its work is launched; how much longer the device needs is what the
    CPU is ahead. At a share near 1 it never is: the device waits for launches, and a faster
    CPU makes faster images. Waiting inside a step (a copy back to the CPU) counts as launching.

    Args:
        device: that computes.
        make_image: makes one image, and calls a hook after each step.

    Returns:
        None on a CPU, and where there are fewer than two steps: the first is left out, since it
        begins with the text encoders.
    """
    if not device.is_accelerator:
        return None
    launched_s: list[float] = []
    taken_s: list[float] = []
    began_s = time.perf_counter()

    def wait(step: int) -> None:
        nonlocal began_s
        launched = time.perf_counter()
        device.synchronize()
        done = time.perf_counter()
        if step > 0:
            launched_s.append(launched - began_s)
            taken_s.append(done - began_s)
        began_s = done

    make_image(wait)
    return sum(launched_s) / sum(taken_s) if taken_s else None
