"""The structure of CUDA code on a machine without a GPU: operators, memory and kernels of a tier.

Tensors are fake: they have a shape, a dtype and a device, and no numbers. Nothing is launched and
nothing is timed. What torch and torchao would ask the driver is answered by the patches of
`patches/`, one small file for each, with its reason.
"""

from perfsuite.deviceless.memory import memory_plan
from perfsuite.deviceless.operators import count_tier

__all__ = ["count_tier", "memory_plan"]
